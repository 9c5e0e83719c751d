// Package client is the pure half of the client SDK: one [Engine] decides everything for one client. It keeps a control
// conversation with each configured broker and a data conversation with each manager loop that it was referred to, the
// sessions, and a slab of unfinished tasks; it gives sequence numbers, keeps count of credit, and sends again what a
// new broker does not know. A task's result leaves the engine exactly once.
//
// It has no clock, no locks and no sockets: commands and frames come in with the time, and what is to be done comes out
// of [Engine.Take]. The SDK and the simulator drive the same engine. An engine and its sessions belong to one
// goroutine, or to whoever holds the lock around them.
package client
