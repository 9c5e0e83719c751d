// Package sim runs the whole fabric in one simulated world, from a seed: the real cores of the control loop, the manager
// loops, the agents, the clients and the instances, with simulated time, network, disk, launcher and applications. It
// injects faults, holds what clients see and what hooks see to what weft promises, and in the end heals everything and
// requires that everything ends.
//
// A [World] is deterministic: equal options give equal runs, event by event. [Check] runs many seeds side by side, runs
// some of them twice to find what is not deterministic, and shrinks those that fail. docs/simulation.md says how to use it.
package sim
