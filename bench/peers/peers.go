// peers drives Debian's memberlist through a few of the laboratory's experiments (docs/laboratory.md),
// in real time and in one process, so that the model of it in novacron-sim can be held against it.
//
//	peers crash -nodes 32 -kills 8
//	peers block -nodes 64 -anomalous 8 -closed 16384ms -open 64ms -span 120s [-plain]
//
// Datagrams go through queues in memory: one a node, bounded as a kernel's is, and lost where it is
// full. A node is blocked, as in the experiments of the Lifeguard paper, just before each send and
// just after each receive; its timers run on. Output is lines `name: value unit`.
//
// A machine that is too slow makes nodes look dead that are not. The processor time of the process is
// sampled; where it was busier than -busy-max in any quarter of a second for longer than -busy-for,
// the run ends with status 3, and its figures are of no use.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// What a kernel keeps for a socket that nobody reads, in packets of the usual size.
const inboxPackets = 200

// gate is open, or will be at a time that is known.
type gate struct {
	mutex  sync.Mutex
	begin  time.Time
	end    time.Time
	closed time.Duration
	open   time.Duration
}

func (g *gate) set(begin, end time.Time, closed, open time.Duration) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.begin, g.end, g.closed, g.open = begin, end, closed, open
}

// opens says how long it stays shut from now on.
func (g *gate) opens() time.Duration {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	now := time.Now()
	if g.closed == 0 || now.Before(g.begin) || !now.Before(g.end) {
		return 0
	}
	in := now.Sub(g.begin) % (g.closed + g.open)
	if in >= g.closed {
		return 0
	}
	wait := g.closed - in
	if left := g.end.Sub(now); left < wait {
		wait = left
	}
	return wait
}

func (g *gate) pass() {
	for wait := g.opens(); wait > 0; wait = g.opens() {
		time.Sleep(wait)
	}
}

// wire is the network: nodes by address.
type wire struct {
	mutex    sync.RWMutex
	nodes    map[string]*transport
	messages uint64
	bytes    uint64
}

type transport struct {
	wire    *wire
	address *net.UDPAddr
	gate    gate
	inbox   chan *memberlist.Packet
	packets chan *memberlist.Packet
	streams chan net.Conn
	isDown  int32
	done    chan struct{}
}

func (w *wire) attach(number int) *transport {
	t := &transport{
		wire:    w,
		address: &net.UDPAddr{IP: net.IPv4(10, 0, byte(number>>8), byte(number)), Port: 7946},
		inbox:   make(chan *memberlist.Packet, inboxPackets),
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
		done:    make(chan struct{}),
	}
	w.mutex.Lock()
	w.nodes[t.address.String()] = t
	w.mutex.Unlock()
	go t.read()
	return t
}

func (t *transport) down() bool { return atomic.LoadInt32(&t.isDown) != 0 }

// read hands packets on, one at a time, each once the gate is open.
func (t *transport) read() {
	for {
		select {
		case packet := <-t.inbox:
			t.gate.pass()
			if t.down() {
				continue
			}
			packet.Timestamp = time.Now()
			select {
			case t.packets <- packet:
			case <-t.done:
				return
			}
		case <-t.done:
			return
		}
	}
}

func (t *transport) find(address string) *transport {
	t.wire.mutex.RLock()
	defer t.wire.mutex.RUnlock()
	peer := t.wire.nodes[address]
	if peer == nil || peer.down() {
		return nil
	}
	return peer
}

func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.address.IP, t.address.Port, nil
}

func (t *transport) WriteTo(b []byte, address string) (time.Time, error) {
	t.gate.pass()
	now := time.Now()
	if t.down() {
		return now, nil
	}
	atomic.AddUint64(&t.wire.messages, 1)
	atomic.AddUint64(&t.wire.bytes, uint64(len(b)))
	if peer := t.find(address); peer != nil {
		copied := append([]byte(nil), b...)
		select {
		case peer.inbox <- &memberlist.Packet{Buf: copied, From: t.address}:
		default: // the kernel's buffer is full
		}
	}
	return now, nil
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	t.gate.pass()
	peer := t.find(address)
	if peer == nil || t.down() {
		time.Sleep(timeout)
		return nil, errors.New("no answer")
	}
	ours, theirs := net.Pipe()
	go func() {
		peer.gate.pass()
		select {
		case peer.streams <- theirs:
		case <-peer.done:
			theirs.Close()
		case <-time.After(timeout):
			theirs.Close()
		}
	}()
	return ours, nil
}

func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

func (t *transport) Shutdown() error {
	if atomic.SwapInt32(&t.isDown, 1) == 0 {
		close(t.done)
	}
	return nil
}

// node is a member, and what it says of others.
type node struct {
	name    string
	member  *memberlist.Memberlist
	wire    *transport
	cluster *cluster
	isOdd   bool // blocked now and then
}

type cluster struct {
	nodes  []*node
	byName map[string]*node
	wire   *wire
	mutex  sync.Mutex
	counts deaths
	watch  bool
	on     func(observer *node, subject string)
}

// deaths of nodes that are not odd: found by an own timer, and held; at all, and at healthy ones.
type deaths struct {
	originations, originationsHealthy, events, eventsHealthy int
}

func (n *node) NotifyJoin(*memberlist.Node) {}

func (n *node) NotifyUpdate(*memberlist.Node) {}

func (n *node) NotifyLeave(m *memberlist.Node) {
	c := n.cluster
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.watch || n.wire.down() {
		return
	}
	if c.on != nil {
		c.on(n, m.Name)
	}
	if subject := c.byName[m.Name]; subject != nil && !subject.isOdd {
		c.counts.events++
		if !n.isOdd {
			c.counts.eventsHealthy++
		}
	}
}

// Write is given the log of a node: one line says that its own timer of a suspicion ran out.
func (n *node) Write(line []byte) (int, error) {
	text := string(line)
	const marking = "memberlist: Marking "
	at := strings.Index(text, marking)
	if at < 0 || !strings.Contains(text, "suspect timeout reached") {
		return len(line), nil
	}
	name := strings.Fields(text[at+len(marking):])[0]
	c := n.cluster
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if subject := c.byName[name]; c.watch && subject != nil && !subject.isOdd && !n.wire.down() {
		c.counts.originations++
		if !n.isOdd {
			c.counts.originationsHealthy++
		}
	}
	return len(line), nil
}

func open(nodes int, change func(*memberlist.Config)) *cluster {
	c := &cluster{byName: map[string]*node{}, wire: &wire{nodes: map[string]*transport{}}}
	for i := 0; i < nodes; i++ {
		n := &node{name: "n" + strconv.Itoa(i), cluster: c}
		n.wire = c.wire.attach(i + 1)
		config := memberlist.DefaultLANConfig()
		config.Name = n.name
		config.Transport = n.wire
		config.Events = n
		config.LogOutput = n
		config.BindAddr, config.BindPort = n.wire.address.IP.String(), n.wire.address.Port
		config.EnableCompression = false
		change(config)
		member, err := memberlist.Create(config)
		if err != nil {
			fail(err)
		}
		n.member = member
		c.nodes = append(c.nodes, n)
		c.byName[n.name] = n
		if i > 0 {
			if _, err := member.Join([]string{c.nodes[rand.Intn(i)].wire.address.String()}); err != nil {
				fail(err)
			}
		}
	}
	deadline := time.Now().Add(2 * time.Minute)
	for _, n := range c.nodes {
		for n.member.NumMembers() < nodes {
			if time.Now().After(deadline) {
				fail(errors.New("the cluster did not come together in two minutes"))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return c
}

func (c *cluster) close() {
	for _, n := range c.nodes {
		n.wire.gate.set(time.Time{}, time.Time{}, 0, 0)
	}
	for _, n := range c.nodes {
		if !n.wire.down() {
			n.member.Shutdown()
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "peers:", err)
	os.Exit(1)
}

// busy samples the processor time of this process.
type busy struct {
	max  float64
	over time.Duration
	stop chan struct{}
	done chan struct{}
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func watchBusy(limit float64) *busy {
	b := &busy{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(b.done)
		const step = 250 * time.Millisecond
		last, at := processorTime(), time.Now()
		for {
			select {
			case <-b.stop:
				return
			case <-time.After(step):
			}
			used, now := processorTime(), time.Now()
			part := float64(used-last) / float64(now.Sub(at)) / float64(runtime.NumCPU())
			// A sample that came late says that others had the processor.
			late := now.Sub(at) > step+step/2
			if part > b.max {
				b.max = part
			}
			if part > limit || late {
				b.over += now.Sub(at)
			}
			last, at = used, now
		}
	}()
	return b
}

func (b *busy) end(allowed time.Duration) {
	close(b.stop)
	<-b.done
	figure("peers_busy_max_percent", 100*b.max, "%")
	figure("peers_busy_over_s", b.over.Seconds(), "s")
	if b.over > allowed {
		fmt.Fprintln(os.Stderr, "peers: the machine was too busy; the figures are of no use")
		os.Exit(3)
	}
}

func figure(name string, value float64, unit string) { fmt.Printf("%s: %.6g %s\n", name, value, unit) }

func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sort.Float64s(values)
	place := q * float64(len(values)-1)
	low := int(place)
	if low+1 >= len(values) {
		return values[len(values)-1]
	}
	return values[low] + (place-float64(low))*(values[low+1]-values[low])
}

// crash kills nodes of a whole cluster one after another, each time of all its nodes.
func crash(nodes, kills int) {
	var first, full []float64
	falseDeaths := 0
	c := open(nodes, func(*memberlist.Config) {})
	time.Sleep(3 * time.Second)
	alive := nodes
	for kill := 0; kill < kills; kill++ {
		time.Sleep(time.Duration(rand.Int63n(int64(time.Second))))
		var victim *node
		for victim == nil || victim.wire.down() {
			victim = c.nodes[rand.Intn(nodes)]
		}
		var firstAt, lastAt time.Time
		known := 0
		complete := make(chan struct{})
		alive--
		c.mutex.Lock()
		c.watch = true
		start := time.Now()
		c.on = func(observer *node, subject string) {
			if subject != victim.name {
				falseDeaths++
				return
			}
			if known++; known == 1 {
				firstAt = time.Now()
			}
			if lastAt = time.Now(); known == alive {
				close(complete)
			}
		}
		c.mutex.Unlock()
		victim.wire.Shutdown()
		select {
		case <-complete:
		case <-time.After(2 * time.Minute):
		}
		c.mutex.Lock()
		c.watch = false
		if known > 0 {
			first = append(first, firstAt.Sub(start).Seconds())
		}
		if known == alive {
			full = append(full, lastAt.Sub(start).Seconds())
		}
		c.mutex.Unlock()
		go victim.member.Shutdown()
	}
	figure("peers_crash_kills", float64(len(full)), "kills")
	figure("peers_crash_first_p50_s", quantile(first, 0.5), "s")
	figure("peers_crash_first_max_s", quantile(first, 1), "s")
	figure("peers_crash_full_p50_s", quantile(full, 0.5), "s")
	figure("peers_crash_false", float64(falseDeaths), "deaths")
	c.close()
}

// block has some nodes blocked in lock-step.
func block(nodes, anomalous int, closed, open_, span time.Duration, plain bool) {
	c := open(nodes, func(config *memberlist.Config) {
		config.SuspicionMult = 5
		if plain {
			config.SuspicionMaxTimeoutMult = 1
			config.AwarenessMaxMultiplier = 1
		}
	})
	time.Sleep(15 * time.Second)
	begin := time.Now()
	for _, i := range rand.Perm(nodes)[:anomalous] {
		c.mutex.Lock()
		c.nodes[i].isOdd = true
		c.mutex.Unlock()
		c.nodes[i].wire.gate.set(begin, begin.Add(span), closed, open_)
	}
	messages, bytes := atomic.LoadUint64(&c.wire.messages), atomic.LoadUint64(&c.wire.bytes)
	c.mutex.Lock()
	c.watch = true
	c.mutex.Unlock()
	time.Sleep(span)
	c.mutex.Lock()
	c.watch = false
	counts := c.counts
	c.mutex.Unlock()
	figure("peers_block_originations", float64(counts.originations), "deaths")
	figure("peers_block_originations_healthy", float64(counts.originationsHealthy), "deaths")
	figure("peers_block_events", float64(counts.events), "deaths")
	figure("peers_block_events_healthy", float64(counts.eventsHealthy), "deaths")
	perNode := float64(nodes) * span.Seconds()
	figure("peers_block_messages", float64(atomic.LoadUint64(&c.wire.messages)-messages)/perNode, "messages/s")
	figure("peers_block_bytes", float64(atomic.LoadUint64(&c.wire.bytes)-bytes)/perNode, "B/s")
	c.close()
}

func main() {
	flags := flag.NewFlagSet("peers", flag.ExitOnError)
	nodes := flags.Int("nodes", 32, "members")
	kills := flags.Int("kills", 8, "crash: how many")
	anomalous := flags.Int("anomalous", 8, "block: how many")
	closed := flags.Duration("closed", 16384*time.Millisecond, "block: for so long")
	open_ := flags.Duration("open", 64*time.Millisecond, "block: open for so long in between")
	span := flags.Duration("span", 120*time.Second, "block: all in all")
	plain := flags.Bool("plain", false, "block: without Lifeguard")
	seed := flags.Int64("seed", 1, "of what this program draws")
	busyMax := flags.Float64("busy-max", 0.8, "part of all processors that this process may use")
	busyFor := flags.Duration("busy-for", time.Second, "longer above that, and the run is void")
	if len(os.Args) < 2 {
		fail(errors.New("use it as: peers crash|block [-nodes N] ..."))
	}
	if err := flags.Parse(os.Args[2:]); err != nil {
		fail(err)
	}
	rand.Seed(*seed)
	b := watchBusy(*busyMax)
	switch os.Args[1] {
	case "crash":
		crash(*nodes, *kills)
	case "block":
		block(*nodes, *anomalous, *closed, *open_, *span, *plain)
	default:
		fail(fmt.Errorf("there is no experiment %s", os.Args[1]))
	}
	b.end(*busyFor)
}

var _ io.Writer = (*node)(nil)
