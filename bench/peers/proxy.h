// libzmq's own proxy, and a client and a worker for it, in C: what a program without a binding gets. One task is one
// message, nothing is batched, and but for the high-water marks all is as libzmq has it.
#pragma once

#include <stddef.h>
#include <stdint.h>

// All functions return 0, or -1 and set errno.

// peer_open makes a socket of a type in a context of its own, and binds or connects it.
int peer_open(int type, int bind, const char *endpoint, void **context, void **socket);

// peer_endpoint writes the endpoint to which a socket was bound.
int peer_endpoint(void *socket, char *endpoint, size_t size);

// peer_share makes a second bound socket in the context of another.
int peer_share(void *context, int type, const char *endpoint, void **socket);

// peer_proxy passes messages between two sockets; it returns on an error only.
int peer_proxy(void *front, void *back);

// peer_echo sends all that comes back to where it came from; it returns on an error only.
int peer_echo(void *socket);

// peer_trips has one task executed after the other until ns nanoseconds have gone by, at least one. It writes how long
// they took into trips, of which there are room, and their number.
int peer_trips(void *socket, const void *payload, size_t size, int64_t ns, int64_t *trips, size_t room, size_t *number);

// peer_load keeps window tasks outstanding until *stop is not 0, counts those completed in *done, and returns when nothing
// is outstanding any more.
int peer_load(void *socket, const void *payload, size_t size, size_t window, const uint32_t *stop, uint64_t *done);
