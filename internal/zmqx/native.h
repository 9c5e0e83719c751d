// The calls of the hot path, each one crossing from Go. None of them blocks but wx_wait; none calls back
// into Go; every libzmq call in them is repeated after EINTR (Go's SIGURG preemption causes it).

#ifndef WEFT_ZMQX_NATIVE_H
#define WEFT_ZMQX_NATIVE_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

enum {
	WX_BURST = 64,                 // messages of one burst, at most
	WX_PAYLOADS = 16,              // payload frames of one message, at most
	WX_FRAMES = 64 + WX_PAYLOADS,  // payload frames of one burst, at most
	WX_BURST_BYTES = 4 << 20,      // a burst ends when its records exceed this
};

// What became of a received message.
enum { WX_WHOLE, WX_TOO_MANY_FRAMES, WX_TOO_LARGE, WX_FOREIGN_ID };

// One received message. Its records lie in the frame records[i] of its socket, its payload frames in
// frames[first] to frames[first + count - 1].
typedef struct {
	void *records;
	size_t len;
	uint32_t peer;
	uint32_t verdict;
	uint32_t first;
	uint32_t count;
} wx_message;

// A socket with the C memory that its calls use.
typedef struct {
	void *handle;
	int router;
	size_t max_records;
	size_t max_message;
	int used_records;
	int used_frames;
	zmq_msg_t spare;
	zmq_msg_t records[WX_BURST];
	zmq_msg_t frames[WX_FRAMES];
	zmq_msg_t outgoing[WX_PAYLOADS];
	wx_message messages[WX_BURST];
} wx_socket;

// What a burst brought: messages, whether the socket was found empty, and an errno if it broke off.
typedef struct {
	int count;
	int drained;
	int error;
} wx_burst;

// What a send did: frames that left, and an errno if that was not all.
typedef struct {
	int frames;
	int error;
} wx_sent;

// wx_open wraps the handle of a socket; NULL when there is no memory.
wx_socket *wx_open(void *handle, int router, size_t max_records, size_t max_message);
// wx_free releases the C memory and the frames in it; the handle is not touched.
void wx_free(wx_socket *w);
// wx_release gives back the frames of the last burst.
void wx_release(wx_socket *w);
// wx_recv receives at most max messages without blocking.
wx_burst wx_recv(wx_socket *w, int max);
// wx_send sends peer's id (ROUTER), records and the first count frames of outgoing, which it consumes.
wx_sent wx_send(wx_socket *w, uint32_t peer, const void *records, size_t len, int count);
// wx_events is ZMQ_EVENTS, or a negative errno.
int wx_events(void *handle);

// wx_slots allocates n empty frames; NULL when there is no memory.
zmq_msg_t *wx_slots(int n);
// wx_free_slots closes n frames and frees their memory.
void wx_free_slots(zmq_msg_t *slots, int n);
// wx_make makes the empty frame dst one of len bytes and returns where they are, to be written; NULL: no memory.
void *wx_make(zmq_msg_t *dst, size_t len);
// wx_take moves src into the empty frame dst and returns where its bytes are; NULL: invalid frame.
void *wx_take(zmq_msg_t *dst, zmq_msg_t *src);
// wx_share makes dst another reference to the bytes of src; 0 or a negative errno.
int wx_share(zmq_msg_t *dst, zmq_msg_t *src);
// wx_reset closes a frame and leaves it empty.
void wx_reset(zmq_msg_t *msg);

// wx_wait polls fds for timeout_ns (negative: for ever). The first is an eventfd, which it empties when it
// fired. Returns the number of descriptors that fired, or a negative errno.
int wx_wait(struct pollfd *fds, int n, int64_t timeout_ns);
// wx_spin looks at fds for up to limit_ns, yielding the processor in between, and gives up early when a
// yield took over guard_ns. Returns 1 when something fired.
int wx_spin(struct pollfd *fds, int n, int64_t limit_ns, int64_t guard_ns);

// wx_tune_malloc keeps so many bytes of freed memory in the process.
void wx_tune_malloc(int keep);
// wx_trim_malloc gives freed memory back to the system.
void wx_trim_malloc(void);

#endif
