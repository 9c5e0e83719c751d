// Package agent is the daemon of a compute node: it measures the node, registers it with the broker, and starts and
// stops containers as it is told. It decides nothing; agent/core holds what it knows, this package is its hands.
//
// Containers end with their agent: in order when [Agent.Run] ends, by the kernel when the agent is killed. What got
// away is found by its owner mark, and killed, when an agent with the same name and state folder starts again, before
// it registers.
package agent
