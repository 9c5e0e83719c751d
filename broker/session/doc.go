// Package session holds what a session is to the broker: its states, and the words in which the control loop and the
// manager loops speak about it, [Order] and [Note]. It is pure data and a state table; the two loops' cores
// (broker/control, broker/manager) know each other by nothing else.
package session
