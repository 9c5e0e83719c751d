// Package client is the SDK for programs that hand work to a fabric. A [Client], made by [Dial], opens sessions with
// services; a [Session] sends tasks and brings their results: [Session.Call] blocks for one, [Session.Submit] and
// [Session.SubmitFunc] do not, [Method] adds types. What operators do, such as registering a service, are methods of
// the client too.
//
// A task runs at least once, its result arrives exactly once. The client keeps each task until its result has come, and
// sends it again when a connection or a broker was lost, or when the broker had no room for it. What is wanted of a task
// beyond that is said by options, for it ([TaskOption]) or for all of a session ([SessionOption]): a time within which it has
// to end, how often it is run again, its priority, which tasks it waits for, the order of results. [Task.Cancel] ends it.
//
// Errors are *[protocol.Error] in the sense of errors.As; errors.Is compares them by code with this package's ErrX.
package client
