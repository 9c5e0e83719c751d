// Package core is the agent of a compute node without its hands: it keeps one control link to each broker, registers
// the node, reports how the node and its containers fare, and turns a broker's orders into actions for its shell. It
// decides nothing: what is started and stopped is for the broker to say.
//
// An agent that is configured with several brokers obeys one: of those that welcomed it, the one with the highest
// epoch, and of equal ones the first. Orders of the others are refused.
//
// The package is pure: no I/O, no clock, no goroutines. A [Core] belongs to one goroutine.
package core
