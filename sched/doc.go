// Package sched decides which container runs on which node, in three levels: a queue of a hierarchy, a service of that
// queue by the queue's policy, a request of that service by its priority; and then the node. [Scheduler] is all of it;
// [CheckQueues] says what is wrong with a hierarchy; [Shares] hands out the management node itself.
//
// The package is pure and incremental: it is told of every change, keeps what follows from it, and does work only for
// what changed. It knows nothing of sessions or of the wire. Equal calls in equal order give equal answers. Nothing in
// it is safe for concurrent use.
//
// How it is fast: the children of a queue are a heap by priority and usage ratio, touched only on the way from a leaf to
// the root. A queue in which nothing can be placed is set aside until something happens that may change that. Equal
// requests are a class, which shares the search for a node; one that no node has room for is looked for again only when
// a node comes to have room. Nodes are kept by how full they are, in blocks that know the most that a node of theirs
// has free.
package sched
