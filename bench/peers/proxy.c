#include "proxy.h"

#include <errno.h>
#include <time.h>
#include <zmq.h>

// How long a client waits for a result, in ms.
static const int patience = 30000;

static int prepare(void *socket) {
  int none = 0;
  if (zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none) != 0) return -1;
  if (zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none) != 0) return -1;
  return zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
}

int peer_share(void *context, int type, const char *endpoint, void **socket) {
  *socket = zmq_socket(context, type);
  if (*socket == NULL || prepare(*socket) != 0) return -1;
  return zmq_bind(*socket, endpoint);
}

int peer_open(int type, int bind, const char *endpoint, void **context, void **socket) {
  *context = zmq_ctx_new();
  if (*context == NULL) return -1;
  if (bind) return peer_share(*context, type, endpoint, socket);
  *socket = zmq_socket(*context, type);
  if (*socket == NULL || prepare(*socket) != 0) return -1;
  return zmq_connect(*socket, endpoint);
}

int peer_endpoint(void *socket, char *endpoint, size_t size) {
  return zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size);
}

int peer_proxy(void *front, void *back) {
  int rc;
  do {
    rc = zmq_proxy(front, back, NULL);
  } while (rc != 0 && errno == EINTR);
  return rc;
}

// Go's runtime interrupts system calls; libzmq then asks its caller to try again.
static int receive(zmq_msg_t *message, void *socket, int flags) {
  int rc;
  do {
    rc = zmq_msg_recv(message, socket, flags);
  } while (rc < 0 && errno == EINTR);
  return rc < 0 ? -1 : 0;
}

static int give(void *socket, const void *payload, size_t size) {
  int rc;
  do {
    rc = zmq_send(socket, payload, size, 0);
  } while (rc < 0 && errno == EINTR);
  return rc < 0 ? -1 : 0;
}

int peer_echo(void *socket) {
  zmq_msg_t message;
  if (zmq_msg_init(&message) != 0) return -1;
  for (;;) {
    if (receive(&message, socket, 0) != 0) return -1;
    int more = zmq_msg_more(&message) ? ZMQ_SNDMORE : 0, rc;
    do {
      rc = zmq_msg_send(&message, socket, more); // empties the message
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) return -1;
  }
}

// take receives the result of a task.
static int take(zmq_msg_t *message, void *socket, size_t size, int flags) {
  if (receive(message, socket, flags) != 0) return -1;
  if (zmq_msg_size(message) != size || zmq_msg_more(message)) {
    errno = EBADMSG;
    return -1;
  }
  return 0;
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int peer_trips(void *socket, const void *payload, size_t size, int64_t ns, int64_t *trips, size_t room, size_t *number) {
  zmq_msg_t message;
  *number = 0;
  if (zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof patience) != 0 || zmq_msg_init(&message) != 0) return -1;
  int rc = 0;
  int64_t begin = now(), sent = begin;
  do {
    if ((rc = give(socket, payload, size)) != 0 || (rc = take(&message, socket, size, 0)) != 0) break;
    int64_t got = now();
    trips[(*number)++] = got - sent;
    sent = got;
  } while (sent - begin < ns && *number < room);
  int why = errno;
  zmq_msg_close(&message);
  errno = why;
  return rc;
}

int peer_load(void *socket, const void *payload, size_t size, size_t window, const uint32_t *stop, uint64_t *done) {
  zmq_msg_t message;
  if (zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof patience) != 0 || zmq_msg_init(&message) != 0) return -1;
  size_t outstanding = 0;
  int rc = 0;
  for (;;) {
    int stopped = __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
    if (stopped && outstanding == 0) break;
    for (; !stopped && rc == 0 && outstanding < window; outstanding++) rc = give(socket, payload, size);
    if (rc != 0 || (rc = take(&message, socket, size, 0)) != 0) break; // waits for one, then takes what else is there
    size_t taken = 1;
    while (taken < outstanding && (rc = take(&message, socket, size, ZMQ_DONTWAIT)) == 0) taken++;
    if (rc != 0 && errno != EAGAIN) break;
    rc = 0;
    outstanding -= taken;
    __atomic_add_fetch(done, taken, __ATOMIC_RELAXED);
  }
  int why = errno;
  zmq_msg_close(&message);
  errno = why;
  return rc;
}
