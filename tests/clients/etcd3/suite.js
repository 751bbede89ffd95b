"use strict";
/*
 * The npm client `etcd3`, against three members of ours, whatever it can do: run by
 * tests/daemon/test_npm_etcd3.py, which installs it. Prints TAP.
 *
 *     node suite.js SETTINGS      JSON: hosts, and with certificates ca, cert and key (files)
 *
 * A line "!restart N" asks the runner to kill member N as a crash would and start it again; it says
 * "done" when there is a leader.
 */
const assert = require("node:assert/strict");
const fs = require("node:fs");
const readline = require("node:readline");
const { Etcd3, EtcdLockFailedError, EtcdPermissionDeniedError, EtcdAuthenticationFailedError,
        EtcdUserNotFoundError, EtcdRoleExistsError, STMConflictError, Range } = require("etcd3");

const settings = JSON.parse(process.argv[2]);
const PATIENCE = 30000;
const checks = [];
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function clientOf(more) {
  const credentials = settings.ca && {
    rootCertificate: fs.readFileSync(settings.ca),
    privateKey: fs.readFileSync(settings.key),
    certChain: fs.readFileSync(settings.cert),
  };
  return new Etcd3({ hosts: settings.hosts, credentials, ...more });
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, isSo) {
  const end = Date.now() + PATIENCE;
  while (!(await isSo())) {
    assert.ok(Date.now() < end, `${what}: not in time`);
    await sleep(20);
  }
}

/* Members die meanwhile, and a client is told so: what may be done twice is done again. */
async function insist(action) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(50);
    }
  }
}

async function restart(member) {
  process.stdout.write(`!restart ${member}\n`);
  assert.equal((await answers.next()).value, "done");
}

function check(name, run) {
  checks.push({ name, run });
}

check("puts, gets and deletes", async (client) => {
  assert.equal(await client.get("a").string(), null);
  await client.put("a").value("1");
  await client.put("b").value(Buffer.from([0, 255, 10]));
  await client.put("c").value(JSON.stringify({ x: [1, 2] }));
  assert.equal(await client.get("a").string(), "1");
  assert.equal(await client.get("a").number(), 1);
  assert.deepEqual(await client.get("b").buffer(), Buffer.from([0, 255, 10]));
  assert.deepEqual(await client.get("c").json(), { x: [1, 2] });
  assert.equal(await client.get("a").exists(), true);
  assert.equal((await client.put("a").value("2").getPrevious()).value.toString(), "1");
  assert.equal(await client.put("a").touch().then(() => client.get("a").string()), "2");
  assert.equal(await client.get("a").serializable(true).string(), "2");
  const first = (await client.get("a").exec()).kvs[0];
  assert.equal(first.version, "3");
  assert.equal(await client.get("a").revision(first.create_revision).string(), "1");
  assert.equal((await client.delete().key("a").exec()).deleted, "1");
  assert.equal((await client.delete().range(new Range("b", "d")).getPrevious()).length, 2);
});

check("reads ranges", async (client) => {
  for (const [key, value] of [["r/2", "b"], ["r/1", "c"], ["r/3", "a"]]) {
    await client.put(key).value(value);
  }
  const all = () => client.getAll().prefix("r/");
  assert.deepEqual(await all().strings(), { "r/1": "c", "r/2": "b", "r/3": "a" });
  assert.deepEqual(await all().keys(), ["r/1", "r/2", "r/3"]);
  assert.deepEqual(await all().sort("Value", "Ascend").keys(), ["r/3", "r/2", "r/1"]);
  assert.deepEqual(await all().sort("Create", "Descend").limit(1).keys(), ["r/3"]);
  assert.deepEqual(await all().sort("Mod", "Ascend").keys(), ["r/2", "r/1", "r/3"]);
  assert.equal(await all().count(), 3);
  assert.deepEqual(await client.getAll().inRange({ start: "r/2", end: "r/3" }).keys(), ["r/2"]);
  assert.deepEqual(await client.getAll().inRange(new Range("r/3", "\0")).keys(), ["r/3"]);
  assert.deepEqual(Object.keys(await all().numbers()), ["r/1", "r/2", "r/3"]);
  assert.equal((await client.delete().prefix("r/").exec()).deleted, "3");
});

check("decides by transactions", async (client) => {
  const create = (value) => client.if("t", "Create", "==", 0).then(client.put("t").value(value))
    .else(client.get("t")).commit();
  assert.equal((await create("1")).succeeded, true);
  const second = await create("2");
  assert.equal(second.succeeded, false);
  assert.equal(second.responses[0].response_range.kvs[0].value.toString(), "1");
  const both = await client.if("t", "Value", "==", "1").and("t", "Version", "<", 2)
    .and("t", "Lease", "==", 0)
    .then(client.put("t").value("3"), client.delete().key("nobody"), client.get("t")).commit();
  assert.equal(both.succeeded, true);
  assert.equal(both.responses[2].response_range.kvs[0].value.toString(), "3");
  await client.delete().key("t");
});

check("runs software transactions", async (client) => {
  await client.put("stm").value("0");
  const add = () => client.stm({ retries: 100 })
    .transact(async (tx) => tx.put("stm").value(1 + (await tx.get("stm").number())));
  await Promise.all(Array.from({ length: 8 }, add));
  assert.equal(await client.get("stm").number(), 8);
  await assert.rejects(client.stm({ retries: 0 }).transact(async (tx) => {
    await tx.get("stm").string();
    await client.put("stm").value("meanwhile");
    return tx.put("stm").value("lost");
  }), STMConflictError);
  await client.delete().key("stm");
});

check("watches keys and prefixes", async (client) => {
  const seen = [];
  const one = await client.watch().key("w/1").withPreviousKV().create();
  const many = await client.watch().prefix("w/").create();
  one.on("put", (kv, old) => seen.push(["one", kv.value.toString(), old && old.value.toString()]));
  one.on("delete", (kv, old) => seen.push(["gone", kv.key.toString(), old.value.toString()]));
  many.on("put", (kv) => seen.push(["many", kv.key.toString()]));
  await client.put("w/1").value("a");
  await client.put("w/1").value("b");
  await client.put("w/2").value("c");
  await client.delete().key("w/1");
  await until("the events", () => seen.length === 6);
  assert.deepEqual(seen.filter(([who]) => who !== "many"),
    [["one", "a", null], ["one", "b", "a"], ["gone", "w/1", "b"]]);
  assert.deepEqual(seen.filter(([who]) => who === "many").map(([, key]) => key),
    ["w/1", "w/1", "w/2"]);
  await one.cancel();
  await many.cancel();
  const revision = (await client.get("w/2").exec()).kvs[0].create_revision;
  const past = [];
  const old = await client.watch().prefix("w/").startRevision(revision).create();
  old.on("data", (response) => past.push(...response.events));
  await until("the past", () => past.length === 2);
  await old.cancel();
});

check("goes on watching while members die", async (client) => {
  const seen = [];
  let losses = 0;
  const watcher = await client.watch().prefix("d/").create();
  watcher.on("put", (kv) => seen.push(Number(kv.value.toString())));
  watcher.on("disconnected", () => losses++);
  watcher.on("error", () => {});
  let next = 0;
  let isOver = false;
  const writes = (async () => {
    while (!isOver) {
      await insist(() => client.put("d/k").value(next));
      next++;
      await sleep(5);
    }
  })();
  for (let member = 0; member < 3; member++) {
    await restart(member);
    await sleep(300);
  }
  isOver = true;
  await writes;
  await until("the last event", () => seen[seen.length - 1] === next - 1);
  /* A put that was in doubt may have been done twice; none is missing, none comes too early. */
  assert.deepEqual([...new Set(seen)], Array.from({ length: next }, (_, i) => i));
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
  assert.ok(losses > 0, "the watch never lost its member");
  await watcher.cancel();
});

check("keeps leases alive and loses them", async (client) => {
  const lease = client.lease(2);
  await lease.put("l/1").value("x");
  assert.equal((await client.leaseClient.leaseTimeToLive({ ID: await lease.grant(), keys: true }))
    .keys[0].toString(), "l/1");
  await sleep(3000);
  assert.equal(await client.get("l/1").string(), "x");
  assert.ok(Number((await lease.keepaliveOnce()).TTL) > 0);
  await lease.revoke();
  assert.equal(await client.get("l/1").string(), null);
  const lost = client.lease(2, { autoKeepAlive: false });
  await lost.put("l/2").value("x");
  await until("the end of the lease", async () => (await client.get("l/2").string()) === null);
  const told = client.lease(5);
  const isTold = new Promise((resolve) => told.on("lost", resolve));
  const id = await told.grant();
  await client.leaseClient.leaseRevoke({ ID: id });
  await told.keepaliveOnce().catch(() => {});
  await isTold;
});

check("locks", async (client) => {
  const lock = client.lock("mutex");
  await lock.acquire();
  await assert.rejects(client.lock("mutex").acquire(), EtcdLockFailedError);
  await lock.release();
  assert.equal(await client.lock("mutex").ttl(5).do(() => "held"), "held");
  assert.equal(await client.get("mutex").string(), null);
});

check("elects", async (client) => {
  const election = client.election("office", 5);
  const observer = await client.election("office", 5).observe();
  const changes = [];
  observer.on("change", (value) => changes.push(value));
  const first = election.campaign("ann");
  await first.wait();
  assert.equal(await election.leader(), "ann");
  const second = client.election("office", 5).campaign("bob");
  let isElected = false;
  second.on("elected", () => (isElected = true));
  await first.proclaim("anna");
  await until("the proclamation", () => changes.includes("anna"));
  await sleep(200);
  assert.equal(isElected, false);
  await first.resign();
  await until("the successor", () => isElected);
  await until("its news", () => changes[changes.length - 1] === "bob");
  await second.resign();
  await observer.cancel();
});

check("lives in a namespace", async (client) => {
  const inside = client.namespace("ns/");
  await inside.put("k").value("v");
  assert.equal(await client.get("ns/k").string(), "v");
  assert.deepEqual(await inside.getAll().all().strings(), { k: "v" });
  const watcher = await inside.watch().key("k").create();
  const seen = [];
  watcher.on("put", (kv) => seen.push(kv.key.toString()));
  await client.put("ns/k").value("w");
  await until("the event", () => seen.length === 1);
  assert.deepEqual(seen, ["k"]);
  await watcher.cancel();
  await inside.lock("m").do(async () => assert.ok(await client.get("ns/m").exists()));
  await inside.delete().all();
  assert.equal(await client.get("ns/k").string(), null);
});

check("asks for members, status and a snapshot", async (client) => {
  assert.equal((await client.cluster.memberList({})).members.length, 3);
  const status = await client.maintenance.status();
  assert.match(status.version, /^3\.\d+\.\d+$/);
  assert.deepEqual((await client.maintenance.alarm({ action: "GET" })).alarms, []);
  await client.maintenance.defragment();
  assert.ok((await client.maintenance.hash()).hash !== undefined);
  const snapshot = await client.maintenance.snapshot();
  let bytes = 0;
  snapshot.on("data", (part) => (bytes += part.blob.length));
  await new Promise((resolve, reject) => snapshot.on("end", resolve).on("error", reject));
  assert.equal(bytes % 512, 32);
});

check("knows users and roles", async (client) => {
  const role = client.role("reader");
  await role.create();
  await assert.rejects(client.role("reader").create(), EtcdRoleExistsError);
  await role.grant({ permission: "Read", range: client.range({ prefix: "u/" }) });
  await role.grant({ permission: "Readwrite", key: "u/own" });
  assert.equal((await role.permissions()).length, 2);
  const ann = client.user("ann");
  await ann.create("pass");
  await ann.addRole("reader");
  assert.deepEqual((await ann.roles()).map((r) => r.name), ["reader"]);
  await assert.rejects(client.user("nobody").roles(), EtcdUserNotFoundError);
  const root = client.user("root");
  await root.create("secret");
  await client.role("root").create();
  await root.addRole("root");
  await client.put("u/1").value("x");
  await client.auth.authEnable();
  const asRoot = clientOf({ auth: { username: "root", password: "secret" } });
  const asAnn = clientOf({ auth: { username: "ann", password: "pass" } });
  const wrong = clientOf({ auth: { username: "ann", password: "wrong" } });
  try {
    assert.equal(await asAnn.get("u/1").string(), "x");
    await asAnn.put("u/own").value("mine");
    await assert.rejects(asAnn.put("u/1").value("y"), EtcdPermissionDeniedError);
    await assert.rejects(wrong.get("u/1").string(), EtcdAuthenticationFailedError);
    /* Its token is void from here on, and it gets another by itself. */
    await asRoot.user("ann").setPassword("pass");
    assert.equal(await asAnn.get("u/1").string(), "x");
    assert.deepEqual((await asRoot.getUsers()).map((user) => user.name).sort(), ["ann", "root"]);
    assert.deepEqual((await asRoot.getRoles()).map((r) => r.name).sort(), ["reader", "root"]);
  } finally {
    await asRoot.auth.authDisable();
    [asRoot, asAnn, wrong].forEach((c) => c.close());
  }
  await role.revoke({ permission: "Readwrite", key: "u/own" });
  await ann.removeRole("reader");
  await ann.delete();
  await role.delete();
});

async function main() {
  const client = clientOf();
  let failed = 0;
  console.log(`1..${checks.length}`);
  for (const [index, { name, run }] of checks.entries()) {
    try {
      await run(client);
      console.log(`ok ${index + 1} - ${name}`);
    } catch (error) {
      failed++;
      console.log(`not ok ${index + 1} - ${name}\n# ${String(error.stack).replaceAll("\n", "\n# ")}`);
    }
  }
  client.close();
  process.exit(failed ? 1 : 0);
}

main();
