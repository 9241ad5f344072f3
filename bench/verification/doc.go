// Package verification measures what checking costs, rung by rung, beside what it checks: the time of the processor
// that drawing a picture takes, and that each way of checking it does. docs/verification.md quotes it.
//
// It holds benchmarks only; the product must not import it.
package verification
