package cluster

import (
	"encoding/json"
	"slices"
	"strings"
)

// AddressSet is a set of members with their announced addresses, sorted, that can be compared. Its JSON is an array of texts,
// each of an id, a blank and an address. A member that announces another address is not in it any more.
type AddressSet string

const addressSeparator = "\n"

// texts are the elements, sorted.
func (s AddressSet) texts() []string {
	if s == "" {
		return nil
	}
	return strings.Split(string(s), addressSeparator)
}

// Has reports whether the member with that address is in the set.
func (s AddressSet) Has(id, addr string) bool { return slices.Contains(s.texts(), id+" "+addr) }

// With returns the set with the member at that address, or without the member.
func (s AddressSet) With(id, addr string, in bool) AddressSet {
	texts := slices.DeleteFunc(s.texts(), func(text string) bool {
		i := strings.LastIndex(text, " ")
		return i >= 0 && text[:i] == id
	})
	if text := id + " " + addr; in && !strings.Contains(text, addressSeparator) {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return AddressSet(strings.Join(texts, addressSeparator))
}

// MarshalJSON returns the elements as an array.
func (s AddressSet) MarshalJSON() ([]byte, error) { return json.Marshal(s.texts()) }

// UnmarshalJSON reads an array of texts. It returns an error for any other JSON.
func (s *AddressSet) UnmarshalJSON(data []byte) error {
	var texts []string
	if err := json.Unmarshal(data, &texts); err != nil {
		return err
	}
	texts = slices.DeleteFunc(texts, func(text string) bool { return strings.Contains(text, addressSeparator) })
	slices.Sort(texts)
	*s = AddressSet(strings.Join(slices.Compact(texts), addressSeparator))
	return nil
}
