package commands

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"
)

func TestWhileConsulRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		errs []error // of the reads, one after the other; then nil
		want int     // reads
		fail bool
	}{
		{"it answers", nil, 1, false},
		{"its rate is limited", []error{api.StatusError{Code: 429}}, 2, false},
		{"it has no leader for a moment", []error{fmt.Errorf("read: %w", api.StatusError{Code: 500})}, 2, false},
		{"it denies access", []error{api.StatusError{Code: 403}}, 1, true},
		{"it does not answer", []error{errors.New("connection refused")}, 1, true},
		{"it refuses again and again", []error{api.StatusError{Code: 429}, api.StatusError{Code: 429}, api.StatusError{Code: 429},
			api.StatusError{Code: 429}, api.StatusError{Code: 429}}, refusedTries, true},
	} {
		reads := 0
		err := whileConsulRefuses(t.Context(), func() error {
			reads++
			if reads <= len(tt.errs) {
				return tt.errs[reads-1]
			}
			return nil
		})
		if reads != tt.want || (err != nil) != tt.fail {
			t.Errorf("%s: %d reads, %v", tt.name, reads, err)
		}
	}
}
