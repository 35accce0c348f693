// Package takeover makes one member's Redis the master while that member holds the lock. It does so in one order, whatever the
// cause:
//
//  1. Park every recorded member within reach, except the old master. A parked member takes no more data, so its position is
//     final.
//  2. Stop the old master (oldmaster.go). If it answers, pause its writes, fence it, wait until our Redis has all its data,
//     and park it. If it is down, continue. If it is unreachable, continue only with proof that its guard refuses writes, and
//     send a fence and a park into its socket all the same.
//  3. Park our Redis, unless the old master was parked in step 2, and wait for members that are only slow.
//  4. If a parked member has newer data, transfer the lock to it, or catch up from it if its agent is dead.
//  5. Fence our Redis and promote it.
//  6. Publish it: one transaction writes master, term, members and guard, if our session still holds the lock.
//  7. Make the parked members and the old master follow our Redis. At the same time replace our fence by the guard.
//
// Before each command to another member's Redis the lease is checked. If a step fails, what was done to the old master is
// undone, unless it is parked already: then the next holder of the lock continues from there.
//
// A forced failover waits for no slow member in step 3, skips step 4, and needs no proof in step 2.
//
// What an answer, an error or a count means is decided by pure functions: verdict.go, guard_verdict.go, promotion.go. The other
// files send the commands.
package takeover
