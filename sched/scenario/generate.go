package scenario

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

const (
	rackSize = 40
	gpuEvery = 20 // nodes, of which gpuIn have gpus
	gpuIn    = 3
	gpuName  = "gpu"
)

// Document makes the scenario: a cluster in racks, a tree of queues in three levels, services with their requests, and
// the steps that submit them all, place what can be placed and print what is then. The load must be a valid one.
func (l Load) Document() Document {
	g := generator{Load: l, rng: rand.New(rand.NewPCG(l.Seed, 0x77656674))}
	g.document.Resources = dimensionNames(l.Dims)
	g.cluster()
	g.tree()
	g.shapes()
	g.requests()
	g.services()
	g.maxima()
	g.document.Steps = append(g.document.Steps, Step{Op: "schedule"}, Step{Op: "state"})
	return g.document
}

// dimensionNames gives the first n names of dimensions.
func dimensionNames(n int) []string {
	names := []string{"cpu", gpuName, "mem", "net", "io"}
	for len(names) < n {
		names = append(names, fmt.Sprintf("d%d", len(names)+1))
	}
	return names[:n]
}

// generator makes one scenario.
type generator struct {
	Load
	rng      *rand.Rand
	document Document

	total  []float64 // of the cluster, by dimension
	racks  int
	leaves []leaf
	shaped []shape // of containers
	orders []order
}

// leaf is a leaf queue that is made.
type leaf struct {
	queue  int     // in the document
	part   float64 // of the cluster that is guaranteed
	users  int
	policy string
	demand []float64 // of its requests, by dimension
	orders []int
}

// shape is what a container asks for.
type shape struct {
	gpu   bool
	ask   []float64 // by dimension; before the load is fitted to the cluster, in parts of what a mean node has
	whole Amounts   // the same, fitted
}

// order is a request that is made.
type order struct {
	shape, count, leaf int
}

// cluster makes the nodes: racks of 40, three sizes, two architectures, and gpus in three nodes of twenty.
func (g *generator) cluster() {
	g.total = make([]float64, g.Dims)
	g.racks = (g.Nodes + rackSize - 1) / rackSize
	for i := range g.Nodes {
		n := Node{Node: fmt.Sprintf("node-%05d", i+1), Rack: rackName(i / rackSize), Type: "cpu", Arch: "amd64", Cap: Amounts{}}
		size := [...]int64{1, 1, 2, 2, 2, 4}[g.rng.IntN(6)]
		arm := g.rng.IntN(4) == 0
		gpu := g.Dims > 1 && i*gpuIn%gpuEvery < gpuIn
		switch {
		case gpu:
			n.Type, size = gpuName, max(size, 2)
		case arm:
			n.Arch = "arm64"
		}
		for d, name := range g.document.Resources {
			amount := size * 10_000
			switch name {
			case "cpu":
				amount = size * 32_000 // millicores
			case gpuName:
				amount = 0
				if gpu {
					amount = 8
				}
			case "mem":
				amount = size * 128 << 10 // MiB
			case "net":
				amount = 4000 + size*6000 // Mbit/s
			case "io":
				amount = size * 1000 // MB/s
			}
			if amount > 0 {
				n.Cap[name] = amount
			}
			g.total[d] += float64(amount)
		}
		g.document.Cluster = append(g.document.Cluster, n)
	}
}

func rackName(i int) string { return fmt.Sprintf("rack-%03d", i+1) }

// tree makes the queues: three levels below the root, as near to a cube as the number of leaves allows. Siblings have
// weights or percentages; siblings of which some are to be blocked have weights, since a maximum may be below those.
func (g *generator) tree() {
	g.document.Queues = append(g.document.Queues, Queue{Name: "root"})
	tops := spread(g.Queues, int(math.Ceil(math.Cbrt(float64(g.Queues)))))
	parts := g.siblings("root", "q", len(tops), 1, false)
	for i, below := range tops {
		top := g.document.Queues[parts[i].queue].Name
		middles := spread(below, int(math.Ceil(math.Sqrt(float64(below)))))
		halves := g.siblings(top, top+"-", len(middles), parts[i].part, false)
		for k, n := range middles {
			middle := g.document.Queues[halves[k].queue].Name
			g.leaves = append(g.leaves, g.siblings(middle, middle+"-", n, halves[k].part, true)...)
		}
	}
}

// spread divides n into parts that differ by 1 at most.
func spread(n, parts int) []int {
	all := make([]int, parts)
	for i := range all {
		all[i] = (n*(i+1))/parts - n*i/parts
	}
	return all
}

// siblings makes the children of a queue.
func (g *generator) siblings(parent, prefix string, n int, part float64, leaves bool) []leaf {
	weights := make([]float64, n)
	sum := 0.0
	for i := range weights {
		weights[i] = float64([...]int{1, 1, 2, 3}[g.rng.IntN(4)])
		sum += weights[i]
	}
	percents := g.rng.IntN(2) == 0 && n <= 100 && (!leaves || g.Blocked == 0)
	tenths := spread(1000, n)
	for i := 0; i+1 < n; i += 2 {
		shift := g.rng.IntN(tenths[i]/3 + 1)
		tenths[i], tenths[i+1] = tenths[i]+shift, tenths[i+1]-shift
	}
	var made []leaf
	for i := range n {
		q := Queue{Name: fmt.Sprintf("%s%d", prefix, i+1), Parent: parent}
		f := leaf{queue: len(g.document.Queues), users: 1}
		if percents {
			q.CapacityPct = tenth(tenths[i])
			f.part = part * float64(tenths[i]) / 1000
			if !leaves && g.rng.IntN(5) == 0 {
				q.MaxPct = tenth(min(1000, 4*tenths[i]))
			}
		} else {
			q.Weight = &weights[i]
			f.part = part * weights[i] / sum
		}
		if !g.Unit && g.rng.IntN(20) == 0 {
			q.Priority = 1
		}
		if leaves {
			q.Policy = [...]string{"fifo", "capacity", "fair"}[g.rng.IntN(3)]
			if !g.Unit {
				f.users = 1 + g.rng.IntN(4)
			}
			if q.Policy == "capacity" && f.users > 1 {
				q.UserLimitPct = "100" // a lower one can keep all users of a leaf waiting for each other, each for another dimension
			}
			f.policy, f.demand = q.Policy, make([]float64, g.Dims)
		}
		g.document.Queues = append(g.document.Queues, q)
		made = append(made, f)
	}
	return made
}

// tenth writes a percentage that is given in tenths.
func tenth(n int) json.Number {
	return json.Number(strconv.FormatFloat(float64(n)/10, 'f', -1, 64))
}

// shapes makes the shapes of containers: named ratios, each in up to four multiples.
func (g *generator) shapes() {
	n := g.Shapes
	if g.Unit {
		n = 1
	}
	multiples := min(4, n)
	var base shape
	for i := range n {
		if i%multiples == 0 {
			bases := (n + multiples - 1) / multiples
			base = g.base(i / multiples)
			base.gpu = g.Dims > 1 && n >= 8 && i/multiples >= bases-max(1, bases/8)
		}
		k := shape{gpu: base.gpu, ask: slices.Clone(base.ask)}
		for d := range k.ask {
			k.ask[d] *= float64(i%multiples + 1)
		}
		g.shaped = append(g.shaped, k)
	}
}

// base makes the ratio of a shape: about that of what a node has, with more of one dimension, and most often of the first,
// which is the scarcest therefore.
func (g *generator) base(family int) shape {
	k := shape{ask: make([]float64, g.Dims)}
	for d := range k.ask {
		k.ask[d] = 1
		if !g.Unit {
			k.ask[d] = 0.5 + 0.5*g.rng.Float64()
			if d == 0 {
				k.ask[d] *= 1.3
			}
		}
	}
	if heavy := family % (g.Dims + 1); heavy < g.Dims && !g.Unit {
		k.ask[heavy] *= 2
	}
	return k
}

// requests draws what is asked for, in which leaf and how often, and fits it to the cluster.
func (g *generator) requests() {
	counts := [...]int{1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 6, 8, 8}
	const meanCount, meanGPUs = 2.7, 2.5
	devices := 0.0
	if g.Dims > 1 {
		devices = g.total[1]
	}
	likely := min(0.3, 0.5*min(1, g.Use)*devices/(meanCount*meanGPUs*float64(g.Requests)))
	plain := slices.IndexFunc(g.shaped, func(k shape) bool { return k.gpu })
	if plain < 0 {
		plain = len(g.shaped)
	}
	line := g.line()
	for i := range g.Requests {
		o := order{count: counts[g.rng.IntN(len(counts))], leaf: line[i]}
		gpu := g.rng.Float64() < likely
		switch {
		case g.Unit:
			o.count = 1
		case g.Shapes == 0:
			o.shape = len(g.shaped)
			k := g.base(g.rng.IntN(1 << 10))
			k.gpu = gpu
			for d := range k.ask {
				k.ask[d] *= 1 + 3*g.rng.Float64()
			}
			g.shaped = append(g.shaped, k)
		case gpu && plain < len(g.shaped):
			o.shape = plain + g.rng.IntN(len(g.shaped)-plain)
		default:
			o.shape = g.rng.IntN(plain)
		}
		g.orders = append(g.orders, o)
	}
	g.fit()
}

// line gives each request its leaf: half of them evenly, half in proportion to what leaves are guaranteed, in an order
// by chance.
func (g *generator) line() []int {
	line := make([]int, 0, g.Requests)
	due := 0.0
	for i, f := range g.leaves {
		part := f.part
		if !g.Unit {
			part = 0.5*part + 0.5/float64(len(g.leaves))
		}
		due += part * float64(g.Requests)
		for float64(len(line)) < due-0.5 && len(line) < g.Requests {
			line = append(line, i)
		}
	}
	for len(line) < g.Requests {
		line = append(line, len(g.leaves)-1)
	}
	g.rng.Shuffle(len(line), func(i, k int) { line[i], line[k] = line[k], line[i] })
	return line
}

// fit makes amounts of the ratios, such that all requests together take their part of the scarcest dimension.
func (g *generator) fit() {
	mean := make([]float64, g.Dims)
	sums := make([]float64, g.Dims)
	for d := range mean {
		mean[d] = g.total[d] / float64(g.Nodes)
	}
	for _, o := range g.orders {
		for d, ask := range g.shaped[o.shape].ask {
			sums[d] += ask * mean[d] * float64(o.count)
		}
	}
	factor := math.Inf(1)
	for d, name := range g.document.Resources {
		if name != gpuName && sums[d] > 0 {
			factor = min(factor, g.Use*g.total[d]/sums[d])
		}
	}
	// The multiples of a shape are whole multiples of whole amounts.
	multiples := max(1, min(4, g.Shapes))
	if g.Shapes == 0 || g.Unit {
		multiples = 1
	}
	for i := range g.shaped {
		k := &g.shaped[i]
		times := int64(i%multiples + 1)
		k.whole = Amounts{}
		for d, name := range g.document.Resources {
			amount := max(1, int64(math.Round(k.ask[d]/float64(times)*mean[d]*factor)))
			if name == gpuName {
				amount = 0
				if k.gpu && g.Shapes == 0 {
					amount = 1 + int64(i%4)
				} else if k.gpu {
					amount = 1
				}
			}
			if amount > 0 {
				k.whole[name] = amount * times
			}
			k.ask[d] = float64(amount * times)
		}
	}
	for i, o := range g.orders {
		f := &g.leaves[o.leaf]
		f.orders = append(f.orders, i)
		for d, ask := range g.shaped[o.shape].ask {
			f.demand[d] += ask * float64(o.count)
		}
	}
}

// services gives the requests of each leaf to services of 1 to 7, and submits these, the leaves in turns.
func (g *generator) services() {
	next := make([]int, len(g.leaves))
	turns := g.rng.Perm(len(g.leaves))
	for left := g.Requests; left > 0; {
		for _, t := range turns {
			f := &g.leaves[t]
			n := min(1+g.rng.IntN(7), len(f.orders)-next[t])
			if n == 0 {
				continue
			}
			s := Step{Op: "submit", Service: fmt.Sprintf("s%d", len(g.document.Steps)+1), Queue: g.document.Queues[f.queue].Name}
			if f.policy == "fair" && !g.Unit && g.rng.IntN(4) == 0 {
				s.Weight = 2
			}
			if f.users > 1 {
				s.User = fmt.Sprintf("u%d", 1+g.rng.IntN(f.users))
			}
			for _, i := range f.orders[next[t] : next[t]+n] {
				s.Requests = append(s.Requests, g.request(i))
			}
			g.document.Steps = append(g.document.Steps, s)
			next[t] += n
			left -= n
		}
	}
}

// request makes a request of what was drawn, and draws where it may run.
func (g *generator) request(i int) Request {
	o := g.orders[i]
	k := g.shaped[o.shape]
	r := Request{ID: fmt.Sprintf("r%d", i+1), Count: o.count, Cap: k.whole}
	if g.Unit {
		return r
	}
	if g.rng.IntN(5) == 0 {
		r.Priority = 1 + g.rng.IntN(3)
	}
	if o.count > 1 && g.rng.IntN(16) == 0 {
		r.Nodes = min(2+g.rng.IntN(o.count-1), g.Nodes, o.count)
	}
	if k.gpu {
		if g.rng.IntN(2) == 0 {
			r.NodeType = gpuName
		}
		return r
	}
	switch chance := g.rng.IntN(1000); {
	case chance < 100:
		r.Arch = "amd64"
	case chance < 130:
		r.Arch = "arm64"
	case chance < 150:
		r.Location, r.Relax = &Location{Rack: rackName(g.rng.IntN(g.racks))}, true
	case chance < 152 && g.Use > 1: // where all is to fit, a must could meet a full rack
		r.Location = &Location{Rack: rackName(g.rng.IntN(g.racks))}
	case chance < 155:
		r.Location, r.Relax = &Location{Node: g.document.Cluster[g.rng.IntN(g.Nodes)].Node}, true
	}
	if g.rng.IntN(8) > 0 { // too many others would take what the work for gpus needs beside these
		r.NodeType = "cpu"
	}
	return r
}

// maxima gives a part of the leaves a maximum of half of what they ask for or of what they are guaranteed, whichever is
// less, but room for each of their containers.
func (g *generator) maxima() {
	for _, i := range g.rng.Perm(len(g.leaves))[:int(math.Round(g.Blocked*float64(len(g.leaves))))] {
		f := g.leaves[i]
		share := 0.0
		for d, n := range f.demand {
			if g.total[d] > 0 {
				share = max(share, n/g.total[d])
			}
		}
		most := Amounts{}
		for d, name := range g.document.Resources {
			most[name] = int64(0.5 * min(f.part, share) * g.total[d])
			for _, o := range f.orders {
				most[name] = max(most[name], g.shaped[g.orders[o].shape].whole[name])
			}
		}
		g.document.Queues[f.queue].Max = most
	}
}
