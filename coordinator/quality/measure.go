package quality

// Measure is a miner's success, in which older attempts count less and less. It is written down.
type Measure struct{ Good, All float64 }

const (
	decay = 0.95 // about the last twenty attempts count

	// Floor is the least ratio: a miner with only failures still gets a chance to show better.
	Floor = 0.02
)

// Note counts an attempt.
func (m *Measure) Note(ok bool) {
	m.Good, m.All = m.Good*decay, m.All*decay+1
	if ok {
		m.Good++
	}
}

// Ratio starts at 1 for a miner that nobody has seen.
func (m *Measure) Ratio() float64 { return max(Floor, (m.Good+1)/(m.All+1)) }
