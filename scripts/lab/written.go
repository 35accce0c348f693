package lab

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/rueidis"
)

// Gaps are the times without an acknowledged write that are longer than the given one: from the first to the last
// acknowledged, and from there until now, or until the writer was stopped.
func (w *Writer) Gaps(longer time.Duration) (gaps []Interval) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := w.ended
	if end.IsZero() {
		end = time.Now()
	}
	last := w.began
	if len(w.acks) > 0 {
		last = w.acks[0].At
	}
	for _, a := range append(slices.Clone(w.acks), Ack{At: end}) {
		if a.At.Sub(last) > longer {
			gaps = append(gaps, Interval{last, a.At})
		}
		last = a.At
	}
	return gaps
}

// Longest is the longest of the gaps.
func (w *Writer) Longest() Interval {
	gaps := w.Gaps(0)
	if len(gaps) == 0 {
		return Interval{}
	}
	return slices.MaxFunc(gaps, func(a, b Interval) int { return int(a.Lasted() - b.Lasted()) })
}

// LongestGap is the longest time between two acknowledged writes, or since the last.
func (w *Writer) LongestGap() time.Duration { return w.Longest().Lasted() }

// Errors is how often a write, or a try to find and reach the master, failed, by kind.
func (w *Writer) Errors() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.errors)
}

// kind is a word for an error: READONLY, refused, timeout.
func kind(err error) string {
	var late net.Error
	redis, answered := rueidis.IsRedisErr(err)
	switch {
	case answered:
		word, _, _ := strings.Cut(redis.Error(), " ")
		return word
	case errors.Is(err, ErrNoMaster):
		return "no master"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE):
		return "closed"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return "timeout"
	}
	return "other"
}

// Lost is how many of the acknowledged writes the server at addr does not have.
func (w *Writer) Lost(addr string) (int, error) {
	lost, err := w.lost(w.Dial, addr)
	return len(lost), err
}

// LostOn are those of the acknowledged writes that a server does not have.
func (w *Writer) LostOn(r *Redis) ([]Ack, error) { return w.lost(r.Dial, r.Addr) }

func (w *Writer) lost(dial Dial, addr string) (lost []Ack, err error) {
	err = w.each(dial, addr, "MGET", func(part []Ack, have rueidis.RedisResult) error {
		values, err := have.ToArray()
		for i, v := range values {
			if v.IsNil() {
				lost = append(lost, part[i])
			}
		}
		return err
	})
	return lost, err
}

// Erase removes the acknowledged writes from the master.
func (w *Writer) Erase(r *Redis) error {
	return w.each(r.Dial, r.Addr, "UNLINK", func(_ []Ack, done rueidis.RedisResult) error { return done.Error() })
}

// each runs a command with the acknowledged keys, a thousand at a time.
func (w *Writer) each(dial Dial, addr, command string, then func([]Ack, rueidis.RedisResult) error) error {
	c, err := connect(dial, addr, w.Password, 5*time.Second, "resec:lab")
	if c != nil {
		defer c.Close()
	}
	if err != nil {
		return err
	}
	w.mu.Lock()
	acks := slices.Clone(w.acks)
	w.mu.Unlock()
	for part := range slices.Chunk(acks, 1000) {
		cmd := c.B().Arbitrary(command)
		for _, a := range part {
			cmd = cmd.Keys(w.key(a.N))
		}
		if err := then(part, c.Do(context.Background(), cmd.Build())); err != nil {
			return err
		}
	}
	return nil
}
