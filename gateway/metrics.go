package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/essaim/essaim/client"
)

// scrapeTime bounds what a scrape waits for the coordinator.
const scrapeTime = 2 * time.Second

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	tasks    prometheus.Gauge
	spent    prometheus.Counter
	handler  http.Handler
}

func newMetrics(reg *prometheus.Registry, c client.Coordinator) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "essaim_gateway_requests_total", Help: "HTTP requests by route and status code.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "essaim_gateway_request_seconds", Help: "Time to answer a request, by route.",
			Buckets: []float64{.001, .01, .1, .5, 1, 2, 5, 10, 30, 60, 120, 300},
		}, []string{"route"}),
		tasks: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "essaim_gateway_tasks_in_flight", Help: "Tasks that clients are waiting for.",
		}),
		spent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "essaim_gateway_api_key_spent_uaim_total", Help: "Price of the pictures drawn for API-key users, in uaim.",
		}),
	}
	miners := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "essaim_gateway_miners_connected", Help: "Miners connected to the coordinator; -1 if it does not answer.",
	}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
		defer cancel()
		info, err := c.Info(ctx)
		if err != nil {
			return -1
		}
		return float64(info.Miners)
	})
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.tasks, m.spent, miners} {
		errs = append(errs, reg.Register(c))
	}
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	return m, errors.Join(errs...)
}

func (m *metrics) observe(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}
