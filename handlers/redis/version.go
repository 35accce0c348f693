package redis

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// rdbVersions are the versions of RDB, in which a master sends a full sync, by the first redis_version that has them. Valkey's
// redis_version is 7.2.4; it reads what Redis 7.2 writes.
// Source: RDB_VERSION in src/rdb.h of each release
var rdbVersions = []struct{ major, minor, rdb int }{
	{8, 8, 14}, {8, 6, 13}, {7, 4, 12}, {7, 2, 11}, {7, 0, 10}, {6, 2, 9},
}

// CannotLoad reports whether a server of the version own cannot read a full sync of a master of another version: it deletes its
// data first, and tries again at once. Both are redis_version. It reports false if that is not known.
func CannotLoad(own, master string) bool {
	reads, writes := rdbVersion(own), rdbVersion(master)
	if reads == rdbVersions[0].rdb { // a later version may read more
		reads = math.MaxInt
	}
	return reads > 0 && writes > reads
}

// rdbVersion returns the version of RDB that a server writes, at least; 0: unknown.
func rdbVersion(version string) int {
	major, minor, ok := majorMinor(version)
	for _, v := range rdbVersions {
		if ok && (major > v.major || major == v.major && minor >= v.minor) {
			return v.rdb
		}
	}
	return 0
}

// CompareVersions compares two redis_version without their patch numbers: -1 if a is older than b. An unknown one is older.
func CompareVersions(a, b string) int {
	aMajor, aMinor, _ := majorMinor(a)
	bMajor, bMinor, _ := majorMinor(b)
	return cmp.Or(cmp.Compare(aMajor, bMajor), cmp.Compare(aMinor, bMinor))
}

// majorMinor reads the first two numbers of a version.
func majorMinor(version string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	minor, _ = strconv.Atoi(second)
	return major, minor, err == nil
}

// CanResync reports whether the server can continue from its position with the master's stream, without a full sync.
func (s Status) CanResync(master Status) bool {
	inBacklog := master.BacklogStart > 0 && s.Position.Offset+1 >= master.BacklogStart
	return inBacklog && s.Position.IsAncestorOf(master.Position)
}
