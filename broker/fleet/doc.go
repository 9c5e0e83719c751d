// Package fleet keeps what the broker knows of compute nodes and of the containers on them: two typed state tables, who
// holds what, when something is overdue, and how long a service that keeps dying has to wait.
//
// The package is pure. A [Fleet] belongs to one core.
package fleet
