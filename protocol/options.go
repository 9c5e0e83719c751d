package protocol

import (
	"encoding/binary"
	"math"
	"time"
)

// TaskOptions is what a task may say of itself in the last element of its record. The zero value says nothing, and takes
// no bytes.
type TaskOptions struct {
	Timeout    time.Duration // from when the record was written to the result; 0: as the session says
	Run        time.Duration // that it may execute; 0: as the session says
	Priority   int8          // in its session, the higher first
	Attempts   uint8         // executions that may fail or end their instance; 0: as the session says
	HostLosses uint8         // instances that may be lost under it otherwise; 0: as the session says
	Backoff    time.Duration // before its second attempt; 0: as the session says
	MaxBackoff time.Duration // at most; 0: as the session says
	AtMost     bool          // Timeout holds only where it is shorter than what the session says
}

// Keys of the map that holds them. Durations are in microseconds, rounded up.
const (
	optionTimeout    = 1
	optionRun        = 2
	optionPriority   = 3 // + 128
	optionAttempts   = 4
	optionHostLosses = 5
	optionBackoff    = 6
	optionMaxBackoff = 7
	optionAtMost     = 8
)

// AppendTask is [AppendRecord] of a [KindTask] with options.
func AppendTask(b []byte, session uint32, id TaskID, payload []byte, o *TaskOptions) []byte {
	if o == nil || *o == (TaskOptions{}) {
		return AppendRecord(b, KindTask, session, uint64(id), payload)
	}
	b = appendHead(b, 0x95, KindTask, session, uint64(id), 0xc6, uint32(len(payload)))
	b = append(b, payload...)
	return o.append(b)
}

// AppendTaskExternal is [AppendTask] for a payload that travels in a frame of its own.
func AppendTaskExternal(b []byte, session uint32, id TaskID, size uint32, o *TaskOptions) []byte {
	if o == nil || *o == (TaskOptions{}) {
		return AppendExternal(b, KindTask, session, uint64(id), size)
	}
	b = appendHead(b, 0x95, KindTask, session, uint64(id), 0xce, size)
	return o.append(b)
}

// append writes the map.
func (o *TaskOptions) append(b []byte) []byte {
	at := len(b)
	b = append(b, 0x80)
	put := func(key byte, v uint64) {
		b[at]++
		b = append(b, key, 0xcf)
		b = binary.BigEndian.AppendUint64(b, v)
	}
	for _, f := range [...]struct {
		key byte
		d   time.Duration
	}{{optionTimeout, o.Timeout}, {optionRun, o.Run}, {optionBackoff, o.Backoff}, {optionMaxBackoff, o.MaxBackoff}} {
		if f.d > 0 {
			put(f.key, micros(f.d))
		}
	}
	if o.Priority != 0 {
		put(optionPriority, uint64(int(o.Priority)+128))
	}
	if o.Attempts != 0 {
		put(optionAttempts, uint64(o.Attempts))
	}
	if o.HostLosses != 0 {
		put(optionHostLosses, uint64(o.HostLosses))
	}
	if o.AtMost {
		put(optionAtMost, 1)
	}
	return b
}

// Options reads the options of a [KindTask] record. ok is false when its last element is not of that form; further keys
// are ignored.
func (r *Record) Options() (o TaskOptions, ok bool) {
	ok = r.entries(func(key, v uint64) {
		switch key {
		case optionTimeout:
			o.Timeout = duration(v)
		case optionRun:
			o.Run = duration(v)
		case optionBackoff:
			o.Backoff = duration(v)
		case optionMaxBackoff:
			o.MaxBackoff = duration(v)
		case optionPriority:
			o.Priority = int8(int(min(v, 255)) - 128)
		case optionAttempts:
			o.Attempts = uint8(min(v, 100))
		case optionHostLosses:
			o.HostLosses = uint8(min(v, 200))
		case optionAtMost:
			o.AtMost = v != 0
		}
	})
	return o, ok || len(r.Ext) == 0
}

// Execution is what a [KindDispatch] record says of how a task is to be run, in its last element.
type Execution struct {
	ID      TaskID        // the client's
	Attempt uint8         // from 1
	Timeout time.Duration // from when the record was written until the task is given up; 0: never
	Run     time.Duration // that it may execute; 0: without limit
	Watch   bool          // the manager wants to be told when it begins, by [KindStarted]
}

// Keys of the map that holds it.
const (
	executionID      = 1
	executionAttempt = 2
	executionTimeout = 3
	executionRun     = 4
	executionWatch   = 5
)

// append writes the last element: the client's task id alone when there is nothing else to say, else a map.
func (x *Execution) append(b []byte) []byte {
	if x.Attempt <= 1 && x.Timeout <= 0 && x.Run <= 0 && !x.Watch {
		b = append(b, 0xcf, 0, 0, 0, 0, 0, 0, 0, 0)
		binary.BigEndian.PutUint64(b[len(b)-8:], uint64(x.ID))
		return b
	}
	at := len(b)
	b = append(b, 0x81, executionID, 0xcf)
	b = binary.BigEndian.AppendUint64(b, uint64(x.ID))
	if x.Attempt > 1 {
		b[at]++
		b = append(b, executionAttempt, 0xcc, x.Attempt)
	}
	for _, f := range [...]struct {
		key byte
		d   time.Duration
	}{{executionTimeout, x.Timeout}, {executionRun, x.Run}} {
		if f.d > 0 {
			b[at]++
			b = append(b, f.key, 0xcf)
			b = binary.BigEndian.AppendUint64(b, micros(f.d))
		}
	}
	if x.Watch {
		b[at]++
		b = append(b, executionWatch, 1)
	}
	return b
}

// PlainID is the client's task id in a [KindDispatch] record that says nothing else of how the task is to be run, as nearly
// all. ok is false of any other: see [Record.Execution].
func (r *Record) PlainID() (id TaskID, ok bool) {
	if e := r.Ext; len(e) == 9 && e[0] == 0xcf {
		return TaskID(binary.BigEndian.Uint64(e[1:])), true
	}
	return 0, false
}

// Execution reads the last element of a [KindDispatch] record. ok is false when it is missing or not of that form; further
// keys are ignored.
func (r *Record) Execution() (x Execution, ok bool) {
	if id, plain := r.PlainID(); plain {
		return Execution{ID: id, Attempt: 1}, true
	}
	named := false
	whole := r.entries(func(key, v uint64) {
		switch key {
		case executionID:
			x.ID, named = TaskID(v), true
		case executionAttempt:
			x.Attempt = uint8(min(v, 255))
		case executionTimeout:
			x.Timeout = duration(v)
		case executionRun:
			x.Run = duration(v)
		case executionWatch:
			x.Watch = v != 0
		}
	})
	x.Attempt = max(x.Attempt, 1)
	return x, whole && named
}

// AppendNumbered appends a record about a task whose last element says an attempt and a number: a [KindPartial], with its
// number there, from 0; a [KindProgress] to a client, with its number among those of the task, from 0; or a [KindResult] or
// [KindFailure] of a task that had parts, with how many the client was sent of its last attempt.
func AppendNumbered(b []byte, kind Kind, session uint32, task uint64, payload []byte, attempt uint8, number uint32) []byte {
	b = appendHead(b, 0x95, kind, session, task, 0xc6, uint32(len(payload)))
	b = append(b, payload...)
	return appendNumber(b, attempt, number)
}

// AppendNumberedExternal is [AppendNumbered] for a payload that travels in a frame of its own.
func AppendNumberedExternal(b []byte, kind Kind, session uint32, task uint64, size uint32, attempt uint8, number uint32) []byte {
	return appendNumber(appendHead(b, 0x95, kind, session, task, 0xce, size), attempt, number)
}

func appendNumber(b []byte, attempt uint8, number uint32) []byte {
	b = append(b, 0x82, 0x01, 0xcc, attempt, 0x02, 0xce)
	return binary.BigEndian.AppendUint32(b, number)
}

// Numbered reads the last element of a record that [AppendNumbered] wrote. ok is false when it is not of that form.
func (r *Record) Numbered() (attempt uint8, number uint32, ok bool) {
	ok = r.entries(func(key, v uint64) {
		switch key {
		case 1:
			attempt = uint8(min(v, 255))
		case 2:
			number = uint32(min(v, math.MaxUint32))
		}
	})
	return attempt, number, ok && attempt > 0
}

// PartialWeight is what a part or a word of progress of so many bytes counts: against the window of its task, and against
// the client's credit for results.
func PartialWeight(size int) int64 { return int64(size) + partialHead }

// partialHead is what a part counts beside its bytes, so that empty ones are not free.
const partialHead = 64

// entries calls f for each entry of the last element that has an unsigned key and value, and says whether the element is
// a map of at most 15 entries with such keys.
func (r *Record) entries(f func(key, v uint64)) bool {
	e := r.Ext
	if len(e) == 0 || e[0]&0xf0 != 0x80 {
		return false
	}
	n, e := int(e[0]&0x0f), e[1:]
	for range n {
		key, rest, good := readUint(e)
		if !good {
			return false
		}
		v, after, good := readUint(rest)
		if good {
			f(key, v)
		} else {
			size := skip(rest, maxDepth)
			if size == 0 {
				return false
			}
			after = rest[size:]
		}
		e = after
	}
	return true
}

// micros gives microseconds, rounded up.
func micros(d time.Duration) uint64 { return uint64((d + time.Microsecond - 1) / time.Microsecond) }

// duration gives a duration of so many microseconds, at most about 292 years.
func duration(us uint64) time.Duration {
	return time.Duration(min(us, math.MaxInt64/uint64(time.Microsecond))) * time.Microsecond
}
