#define _GNU_SOURCE

#include "native.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ID_LEN = 5 };  // a routing id that libzmq generated: 0 and a big-endian number

void wx_reset(zmq_msg_t *msg)
{
	zmq_msg_close(msg);
	zmq_msg_init(msg);
}

static void init_all(zmq_msg_t *msgs, int n)
{
	for (int i = 0; i < n; i++)
		zmq_msg_init(&msgs[i]);
}

static void close_all(zmq_msg_t *msgs, int n)
{
	for (int i = 0; i < n; i++)
		zmq_msg_close(&msgs[i]);
}

static void reset_all(zmq_msg_t *msgs, int n)
{
	for (int i = 0; i < n; i++)
		wx_reset(&msgs[i]);
}

wx_socket *wx_open(void *handle, int router, size_t max_records, size_t max_message)
{
	wx_socket *w = calloc(1, sizeof *w);
	if (w == NULL)
		return NULL;
	w->handle = handle;
	w->router = router;
	w->max_records = max_records;
	w->max_message = max_message;
	zmq_msg_init(&w->spare);
	init_all(w->records, WX_BURST);
	init_all(w->frames, WX_FRAMES);
	init_all(w->outgoing, WX_PAYLOADS);
	return w;
}

void wx_free(wx_socket *w)
{
	zmq_msg_close(&w->spare);
	close_all(w->records, WX_BURST);
	close_all(w->frames, WX_FRAMES);
	close_all(w->outgoing, WX_PAYLOADS);
	free(w);
}

void wx_release(wx_socket *w)
{
	reset_all(w->records, w->used_records);
	reset_all(w->frames, w->used_frames);
	w->used_records = 0;
	w->used_frames = 0;
}

static int recv_frame(wx_socket *w, zmq_msg_t *msg)
{
	int rc;
	do
		rc = zmq_msg_recv(msg, w->handle, ZMQ_DONTWAIT);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? errno : 0;
}

static uint32_t parse_id(zmq_msg_t *id)
{
	const uint8_t *b = zmq_msg_data(id);
	if (zmq_msg_size(id) != ID_LEN || b[0] != 0)
		return 0;
	return (uint32_t)b[1] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 8 | b[4];
}

static void format_id(uint8_t id[ID_LEN], uint32_t peer)
{
	id[0] = 0;
	id[1] = (uint8_t)(peer >> 24);
	id[2] = (uint8_t)(peer >> 16);
	id[3] = (uint8_t)(peer >> 8);
	id[4] = (uint8_t)peer;
}

// recv_payloads receives the frames after the records. A message over a cap is read to its end, so that
// the next one is found, but not kept.
static int recv_payloads(wx_socket *w, wx_message *m, int more)
{
	size_t total = m->len;
	while (more) {
		if (m->verdict == WX_WHOLE && m->count == WX_PAYLOADS)
			m->verdict = WX_TOO_MANY_FRAMES;
		zmq_msg_t *dst = m->verdict == WX_WHOLE ? &w->frames[m->first + m->count] : &w->spare;
		int error = recv_frame(w, dst);
		if (error != 0)
			return error;
		more = zmq_msg_more(dst);
		if (m->verdict != WX_WHOLE) {
			wx_reset(dst);
			continue;
		}
		m->count++;
		size_t size = zmq_msg_size(dst);
		if (size > w->max_message - total)
			m->verdict = WX_TOO_LARGE;
		else
			total += size;
	}
	return 0;
}

// recv_message receives message i of a burst. EAGAIN is returned only when there is none.
static int recv_message(wx_socket *w, int i)
{
	wx_message *m = &w->messages[i];
	zmq_msg_t *records = &w->records[i];
	memset(m, 0, sizeof *m);
	m->first = (uint32_t)w->used_frames;
	int more = 1, error = 0;
	if (w->router) {
		error = recv_frame(w, &w->spare);
		if (error != 0)
			return error;
		m->peer = parse_id(&w->spare);
		if (m->peer == 0)
			m->verdict = WX_FOREIGN_ID;
		more = zmq_msg_more(&w->spare);
	}
	if (more) {
		error = recv_frame(w, records);
		if (error != 0)
			return error;
		m->records = zmq_msg_data(records);
		m->len = zmq_msg_size(records);
		if (m->verdict == WX_WHOLE && m->len > w->max_records)
			m->verdict = WX_TOO_LARGE;
		error = recv_payloads(w, m, zmq_msg_more(records));
	}
	if (m->verdict != WX_WHOLE || error != 0) {
		wx_reset(records);
		reset_all(&w->frames[m->first], (int)m->count);
		m->records = NULL;
		m->len = 0;
		m->count = 0;
	}
	return error;
}

wx_burst wx_recv(wx_socket *w, int max)
{
	wx_burst burst = {0, 0, 0};
	size_t bytes = 0;
	wx_release(w);
	while (burst.count < max && w->used_frames <= WX_FRAMES - WX_PAYLOADS && bytes <= WX_BURST_BYTES) {
		int error = recv_message(w, burst.count);
		if (error == EAGAIN) {
			burst.drained = 1;
			break;
		}
		if (error != 0) {
			burst.error = error;
			break;
		}
		wx_message *m = &w->messages[burst.count++];
		w->used_records = burst.count;
		w->used_frames += (int)m->count;
		bytes += m->len;
	}
	return burst;
}

static int send_bytes(wx_socket *w, const void *bytes, size_t len, int more)
{
	int rc;
	do
		rc = zmq_send(w->handle, bytes, len, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? errno : 0;
}

static int send_frame(wx_socket *w, zmq_msg_t *msg, int more)
{
	int rc;
	do
		rc = zmq_msg_send(msg, w->handle, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? errno : 0;
}

wx_sent wx_send(wx_socket *w, uint32_t peer, const void *records, size_t len, int count)
{
	wx_sent sent = {0, 0};
	int i = 0;
	if (w->router) {
		uint8_t id[ID_LEN];
		format_id(id, peer);
		sent.error = send_bytes(w, id, sizeof id, 1);
		sent.frames += sent.error == 0;
	}
	if (sent.error == 0) {
		sent.error = send_bytes(w, records, len, count > 0);
		sent.frames += sent.error == 0;
	}
	for (; i < count && sent.error == 0; i++) {
		sent.error = send_frame(w, &w->outgoing[i], i + 1 < count);
		sent.frames += sent.error == 0;
	}
	if (sent.error != 0)
		reset_all(w->outgoing, count);
	return sent;
}

int wx_events(void *handle)
{
	int events = 0, rc;
	size_t len = sizeof events;
	do
		rc = zmq_getsockopt(handle, ZMQ_EVENTS, &events, &len);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : events;
}

zmq_msg_t *wx_slots(int n)
{
	zmq_msg_t *slots = malloc((size_t)n * sizeof *slots);
	if (slots != NULL)
		init_all(slots, n);
	return slots;
}

void wx_free_slots(zmq_msg_t *slots, int n)
{
	close_all(slots, n);
	free(slots);
}

void *wx_make(zmq_msg_t *dst, size_t len)
{
	if (zmq_msg_init_size(dst, len) != 0) {
		zmq_msg_init(dst);
		return NULL;
	}
	return zmq_msg_data(dst);
}

void *wx_take(zmq_msg_t *dst, zmq_msg_t *src)
{
	return zmq_msg_move(dst, src) == 0 ? zmq_msg_data(dst) : NULL;
}

int wx_share(zmq_msg_t *dst, zmq_msg_t *src)
{
	return zmq_msg_copy(dst, src) == 0 ? 0 : -errno;
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int wx_wait(struct pollfd *fds, int n, int64_t timeout_ns)
{
	int64_t left = timeout_ns;
	int64_t deadline = timeout_ns > 0 ? now_ns() + timeout_ns : 0;
	int rc;
	for (;;) {
		struct timespec t = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
		rc = ppoll(fds, (nfds_t)n, left < 0 ? NULL : &t, NULL);
		if (rc >= 0 || errno != EINTR)
			break;
		if (left > 0) {
			left = deadline - now_ns();
			if (left < 0)
				left = 0;
		}
	}
	if (rc < 0)
		return -errno;
	if (fds[0].revents & POLLIN) {
		uint64_t rings;
		ssize_t got;
		do
			got = read(fds[0].fd, &rings, sizeof rings);
		while (got < 0 && errno == EINTR);
	}
	return rc;
}

int wx_spin(struct pollfd *fds, int n, int64_t limit_ns, int64_t guard_ns)
{
	int64_t before = now_ns();
	int64_t deadline = before + limit_ns;
	for (;;) {
		if (poll(fds, (nfds_t)n, 0) > 0)
			return 1;
		before = now_ns();
		if (before >= deadline)
			return 0;
		sched_yield();
		if (now_ns() - before > guard_ns)
			return 0;
	}
}

void wx_tune_malloc(int keep)
{
#ifdef __GLIBC__
	int pad = keep / 32;
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, keep);
	mallopt(M_TOP_PAD, pad < 32 << 20 ? pad : 32 << 20);
#else
	(void)keep;
#endif
}

void wx_trim_malloc(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
