#include "drivers/qemu/qmp_message.h"

/* Answers bear the id that we gave the command, a positive number; anything else is nobody's. */
static uint64_t message_id(const json_t *root)
{
    const json_t *id = json_object_get(root, "id");
    return json_is_integer(id) && json_integer_value(id) > 0 ? (uint64_t)json_integer_value(id) : 0;
}

static bool message_is_error(const json_t *root, struct qmp_message *m)
{
    const json_t *error = json_object_get(root, "error");

    m->kind = QMP_ERROR;
    m->name = json_string_value(json_object_get(error, "class"));
    m->text = json_string_value(json_object_get(error, "desc"));
    return m->name != NULL && m->text != NULL;
}

static bool message_is_event(const json_t *root, struct qmp_message *m)
{
    m->kind = QMP_EVENT;
    m->name = json_string_value(json_object_get(root, "event"));
    m->body = json_object_get(root, "data");
    return m->name != NULL && (m->body == NULL || json_is_object(m->body));
}

static bool message_classify(const json_t *root, struct qmp_message *m)
{
    m->id = message_id(root);
    if (json_object_get(root, "return") != NULL) {
        m->kind = QMP_RETURN;
        m->body = json_object_get(root, "return");
        return true;
    }
    if (json_object_get(root, "error") != NULL) {
        return message_is_error(root, m);
    }
    if (json_object_get(root, "event") != NULL) {
        return message_is_event(root, m);
    }
    m->kind = QMP_GREETING;
    return json_is_object(json_object_get(root, "QMP"));
}

enum err qmp_message_decode(struct bytes line, struct qmp_message *ret)
{
    json_error_t error;
    struct qmp_message m = {.id = 0};

    if (line.len > QMP_LINE_MAX_BYTES) {
        return ERR_PROTOCOL;
    }
    m.root = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(m.root) || !message_classify(m.root, &m)) {
        json_decref(m.root);
        return ERR_PROTOCOL;
    }
    *ret = m;
    return OK;
}

void qmp_message_deinit(struct qmp_message *message)
{
    json_decref(message->root);
    message->root = NULL;
}
