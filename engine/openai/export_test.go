package openai

import "time"

// Impatient makes the engine give up soon.
func (e *Engine) Impatient() *Engine {
	e.client.Wait, e.client.Idle = 500*time.Millisecond, 300*time.Millisecond
	return e
}
