// Package e2e holds the tests of the whole fabric: clients, brokers, agents and instances over real sockets, the
// instances always and the others where it matters as processes of their own, which are ended by kill -9.
//
// WEFT_E2E_LOOPS=3 runs everything with that many manager loops; otherwise tests say themselves how many they want.
// WEFT_E2E_LOG=1 writes the log of brokers, agents and clients into that of the test.
package e2e
