package node

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/internal/tracing"
	"github.com/essaim/essaim/internal/tracing/otlp"
)

// metrics is what a coordinator's gateway serves at /metrics besides its own.
func metrics(c *coordinator.Coordinator) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	add := func(counter bool, name, help string, value func(coordinator.Stats) float64) {
		read := func() float64 { return value(c.Stats()) }
		opts := prometheus.Opts{Namespace: "essaim", Subsystem: "coordinator", Name: name, Help: help}
		if counter {
			reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts(opts), read))
		} else {
			reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts), read))
		}
	}
	add(false, "miners", "Miners that are connected.", func(s coordinator.Stats) float64 { return float64(s.Miners) })
	add(false, "tasks", "Tasks under way, running or queued.", func(s coordinator.Stats) float64 { return float64(s.Tasks) })
	add(false, "left_out", "Miners that get none of a model's tasks for now, since they have failed at it; by miner and model.", func(s coordinator.Stats) float64 { return float64(s.LeftOut) })
	add(true, "delivered_total", "Tasks that were delivered.", func(s coordinator.Stats) float64 { return float64(s.Delivered) })
	add(true, "ended_total", "Tasks that ended without a delivery.", func(s coordinator.Stats) float64 { return float64(s.Ended) })
	add(true, "lost_total", "Attempts whose miner was gone.", func(s coordinator.Stats) float64 { return float64(s.Lost) })
	add(true, "rejected_total", "Attempts whose receipt did not stand the checks.", func(s coordinator.Stats) float64 { return float64(s.Rejected) })
	add(true, "settled_total", "Sessions that were settled.", func(s coordinator.Stats) float64 { return float64(s.Settled) })
	return reg
}

// openTracer makes what traces tasks, if the configuration says where to.
//
// Errors: CodeBadInput.
func (n *Node) openTracer() (err error) {
	t := n.cfg.Telemetry
	if t == nil || t.OTLP == "" {
		return nil
	}
	n.exporter, err = otlp.New(otlp.Config{URL: t.OTLP, Service: "essaim-" + n.cfg.Role, Node: n.id, Version: n.opt.Version, Logger: n.opt.Logger})
	if err != nil {
		return err
	}
	n.tracer = tracing.New(n.exporter.Export, cmp.Or(t.Sample, 1))
	return nil
}

const headerTime = 10 * time.Second

// profile serves Go's profiles on an address of this machine until ctx ends; "": it only
// waits. A profile shows what is in memory, prompts among it, so no other address will do.
//
// Errors: CodeBadInput, CodeConflict.
func profile(ctx context.Context, address string) error {
	if address == "" {
		<-ctx.Done()
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	l, err := Here("pprof", address)
	if err != nil {
		return err
	}
	return serve(ctx, l, mux)
}

// Here listens for what nobody else shall reach: on an address of this machine. What is the
// name that errors give it.
//
// Errors: CodeBadInput for an address that others can reach, too; CodeConflict.
func Here(what, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, essaim.Errorf(essaim.CodeBadInput, "write it like 127.0.0.1:6060", "%s: %q is no address of this machine alone", what, address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeConflict, "choose another port, or none", "%s: port taken: %w", what, err)
	}
	return l, nil
}

// serve answers on a listener until ctx ends, and closes it.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTime}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
