// Package scale simulates many miners and coordinators on one ledger, to check the plan in
// docs/scale.md: how many tasks a chain pays for, what breaks first. Its inputs are costs
// that were measured; it has no clock and one seed, so that it gives the same answer
// everywhere. It is no part of the product, which must not import it.
package scale

import "math/rand/v2"

// Costs are what was measured.
type Costs struct {
	SettleBytes, LineBytes  float64 // a settlement on the chain, without its lines; one line
	OpenBytes, OpeningBytes float64 // a session's opening; one answer to a draw
	SettleMicros            float64 // of block execution, without its lines
	LineMicros              float64
	OpenMicros              float64
	OpeningMicros           float64
	ReceiptMicros           float64 // of a coordinator's CPU, from task to settlement
}

// Network is what is simulated.
type Network struct {
	Miners, Coordinators int
	TasksPerMinerSecond  float64 // of each miner, on average over the day
	SessionSeconds       float64 // from opening to settlement
	SessionsEach         int     // open at a time with each coordinator
	Payees               int     // miners that work in one session, on average
	Draws                int     // that the beacon asks of each settlement
	BlockSeconds         float64
	BlockBytes           float64 // limit
	BlockMicros          float64 // of execution, budget
	Cores                int     // of a coordinator
}

// Result is what came out.
type Result struct {
	Tasks, Settlements          float64 // in the simulated time
	TasksPerSecond              float64
	BytesPerDay                 float64 // on the chain
	BytesPerMillion             float64 // on the chain, per million tasks
	FullestBlock                float64 // share of the byte limit
	SlowestBlock                float64 // share of the execution budget
	Delayed                     int     // transactions that had to wait for a later block
	LongestWait                 int     // in blocks
	BusiestCoordinator, Average float64 // share of its cores
	Smallest, Largest           float64 // tasks of a session
}

// tx is one transaction of the mempool.
type tx struct {
	bytes, micros float64
	block         int // in which it was sent
}

// Run simulates a number of blocks. Coordinators differ in size as they do in life: the
// share of number i is proportional to 1/(i+1), and the first four are as large as each other.
func Run(n Network, c Costs, blocks int, seed uint64) Result {
	random := rand.New(rand.NewPCG(seed, 0))
	shares := zipf(n.Coordinators)
	total := float64(n.Miners) * n.TasksPerMinerSecond // tasks a second
	var out Result
	out.Smallest = total
	// When each session ends next, in blocks: spread over a session's length.
	length := n.SessionSeconds / n.BlockSeconds
	ends := make([]float64, n.Coordinators*n.SessionsEach)
	for i := range ends {
		ends[i] = random.Float64() * length
	}
	var pool []tx
	for block := range blocks {
		for i := range ends {
			for ends[i] < float64(block+1) {
				ends[i] += length
				tasks := total * shares[i/n.SessionsEach] / float64(n.SessionsEach) * n.SessionSeconds
				payees := min(float64(n.Payees)*(0.5+random.Float64()), max(tasks, 1))
				pool = append(pool,
					tx{c.SettleBytes + payees*c.LineBytes, c.SettleMicros + payees*c.LineMicros, block},
					tx{c.OpenBytes, c.OpenMicros, block})
				for range n.Draws {
					pool = append(pool, tx{c.OpeningBytes, c.OpeningMicros, block})
				}
				out.Settlements++
				out.Tasks += tasks
				out.Smallest, out.Largest = min(out.Smallest, tasks), max(out.Largest, tasks)
			}
		}
		pool = out.commit(pool, n, block)
	}
	seconds := float64(blocks) * n.BlockSeconds
	out.TasksPerSecond = out.Tasks / seconds
	out.BytesPerMillion = out.BytesPerDay / out.Tasks * 1e6
	out.BytesPerDay *= 86_400 / seconds
	out.BusiestCoordinator = total * shares[0] * c.ReceiptMicros / 1e6 / float64(n.Cores)
	out.Average = total / float64(n.Coordinators) * c.ReceiptMicros / 1e6 / float64(n.Cores)
	return out
}

// commit fills a block with what waits, oldest first, and returns what is left.
func (r *Result) commit(pool []tx, n Network, block int) []tx {
	var bytes, micros float64
	for len(pool) > 0 {
		t := pool[0]
		if bytes+t.bytes > n.BlockBytes || micros+t.micros > n.BlockMicros {
			break
		}
		bytes, micros = bytes+t.bytes, micros+t.micros
		if wait := block - t.block; wait > 0 {
			r.Delayed++
			r.LongestWait = max(r.LongestWait, wait)
		}
		pool = pool[1:]
	}
	r.BytesPerDay += bytes
	r.FullestBlock = max(r.FullestBlock, bytes/n.BlockBytes)
	r.SlowestBlock = max(r.SlowestBlock, micros/n.BlockMicros)
	return pool
}

func zipf(n int) []float64 {
	out := make([]float64, n)
	var sum float64
	for i := range out {
		out[i] = min(1/float64(i+1), 0.25) // the first four are as large as each other
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}
