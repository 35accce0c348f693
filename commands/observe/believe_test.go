package observe

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/lock"
	"resec/commands/observable"
)

// emptyConsul has no keys.
type emptyConsul struct{}

func (emptyConsul) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("X-Consul-Index", "9")
	w.Header().Set("X-Consul-LastContact", "0")
	_, _ = w.WriteString("[]")
	return w.Result(), nil
}

// newBelieving returns a believer of a snapshot that the test can change.
func newBelieving(client *api.Client, log *slog.Logger) (*observable.Value[Snapshot], Believer) {
	known := observable.New[Snapshot]()
	o := &Observer{Lock: lock.Lock{Client: client, Key: "k", LastKnown: &lock.LastKnownState{}}, Log: log, Update: known.Update}
	return known, Believer{Observer: o, Log: log,
		Watch:  known.Watch,
		Doubts: func(cluster.View) { log.Warn("", "event", "doubted") }}
}

// An older state is doubted for as long as an agent may write the newest back. After that it is believed. Each doubt is logged once.
func TestBeliever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := api.NewClient(&api.Config{Address: "http://consul", HttpClient: &http.Client{Transport: emptyConsul{}}})
		expect.OK(t, err)
		log := &expect.Log{}
		known, b := newBelieving(client, slog.New(slog.NewTextHandler(log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.Run(ctx) }()
		set := func(back bool) {
			known.Update(func(k *Snapshot) { k.View = cluster.View{WentBack: back} })
			synctest.Wait()
		}
		set(true)
		<-time.After(doubt - time.Second)
		set(true) // something else changes
		expect.OK(t, log.Count("event=doubted", 1))
		set(false)
		set(true)
		expect.OK(t, log.Count("event=doubted", 2))
		<-time.After(doubt - time.Millisecond)
		expect.OK(t, log.Count("event=consul_believed", 0))
		<-time.After(2 * time.Millisecond)
		synctest.Wait()
		expect.OK(t, log.Count("event=consul_believed", 1))
		if known.Load().View.WentBack {
			t.Error("it is still doubted")
		}
		cancel()
		<-done
	})
}

// While Consul is away an older state is not believed, however long: no agent can write the newest back. Once it is back they have
// the whole time again.
func TestBeliever_ConsulIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := api.NewClient(&api.Config{Address: "http://consul", HttpClient: &http.Client{Transport: emptyConsul{}}})
		expect.OK(t, err)
		log := &expect.Log{}
		known, b := newBelieving(client, slog.New(slog.NewTextHandler(log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.Run(ctx) }()
		set := func(down bool) {
			known.Update(func(k *Snapshot) { k.View, k.ConsulDown = cluster.View{WentBack: true}, down })
			synctest.Wait()
		}
		set(false)
		<-time.After(doubt / 2)
		set(true)
		<-time.After(10 * doubt)
		set(false)
		<-time.After(doubt - time.Millisecond)
		synctest.Wait()
		expect.OK(t, log.Count("event=consul_believed", 0))
		<-time.After(2 * time.Millisecond)
		synctest.Wait()
		expect.OK(t, log.Count("event=consul_believed", 1))
		cancel()
		<-done
	})
}

// failingConsul counts the calls that it fails.
type failingConsul struct{ calls atomic.Int64 }

func (c *failingConsul) RoundTrip(*http.Request) (*http.Response, error) {
	c.calls.Add(1)
	return nil, errors.New("no answer")
}

// While the read fails that would end a doubt, it is tried again after a pause.
func TestBeliever_ReadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		consul := &failingConsul{}
		client, err := api.NewClient(&api.Config{Address: "http://consul", HttpClient: &http.Client{Transport: consul}})
		expect.OK(t, err)
		known, b := newBelieving(client, slog.New(slog.DiscardHandler))
		known.Update(func(k *Snapshot) { k.View.WentBack = true })
		ctx, cancel := context.WithTimeout(t.Context(), doubt+2*believeRetry+time.Second)
		defer cancel()
		b.Run(ctx)
		expect.Equal(t, "reads", consul.calls.Load(), 3)
	})
}
