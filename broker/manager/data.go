package manager

import (
	"github.com/weft-fabric/weft/protocol"
)

// What the instances of a session keep with it: it is here for as long as the session lives, whatever becomes of its
// instances, and goes where the manager goes. Whatever comes from instances is carried out in the order in which it comes.

// data is what is kept with one session.
type data struct {
	values map[string][]byte
	bytes  int64 // of keys and values
}

// put keeps a value under a key, within limit.
func (d *data) put(key string, value []byte, limit int64) *protocol.Error {
	if err := checkKey("put", key); err != nil {
		return err
	}
	if len(value) > protocol.MaxDataValue {
		return protocol.Errorf(protocol.CodePayloadTooLarge, "put", "value of %d bytes under %q, at most %d are kept", len(value), key, protocol.MaxDataValue)
	}
	n := d.bytes + int64(len(key)+len(value))
	if old, ok := d.values[key]; ok {
		n -= int64(len(key) + len(old))
	}
	if n > limit {
		return protocol.Errorf(protocol.CodeOverloaded, "put", "%q would make %d bytes with the session, at most %d are kept (limits.data)", key, n, limit)
	}
	if d.values == nil {
		d.values = make(map[string][]byte)
	}
	d.values[key], d.bytes = value, n
	return nil
}

// take takes a key away.
func (d *data) take(key string) *protocol.Error {
	if err := checkKey("delete", key); err != nil {
		return err
	}
	if old, ok := d.values[key]; ok {
		d.bytes -= int64(len(key) + len(old))
		delete(d.values, key)
	}
	return nil
}

func checkKey(op, key string) *protocol.Error {
	if len(key) < 1 || len(key) > protocol.MaxDataKey {
		return protocol.Errorf(protocol.CodeInvalid, op, "key of %d bytes, it must have 1 to %d", len(key), protocol.MaxDataKey)
	}
	return nil
}

// answer carries out a request of an instance, and answers it. d is nil when the session is over, or not bound there.
func (d *data) answer(i *instance, rec *protocol.Record) {
	c, before := i.manager.core, int64(0)
	if d != nil {
		before = d.bytes
	}
	body, err := d.carryOut(i, rec)
	if d != nil {
		c.data += d.bytes - before
	}
	switch {
	case err != nil:
		i.link.Append(protocol.KindError, rec.Session, rec.Task, protocol.Marshal(err))
	case body != nil:
		i.link.Append(protocol.KindSessionData, rec.Session, rec.Task, protocol.Marshal(body))
	default:
		i.link.Append(protocol.KindDone, rec.Session, rec.Task, nil)
	}
}

func (d *data) carryOut(i *instance, rec *protocol.Record) (*protocol.SessionData, *protocol.Error) {
	if d == nil {
		return nil, protocol.Errorf(protocol.CodeSessionClosed, rec.Kind.String(), "session %d is over, or not bound to %s", rec.Session, i.container)
	}
	if rec.Kind == protocol.KindGetData {
		var body protocol.GetData
		if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
			return nil, protocol.AsError(err, "get")
		}
		if err := checkKey("get", body.Key); err != nil {
			return nil, err
		}
		value, found := d.values[body.Key]
		return &protocol.SessionData{Key: body.Key, Value: value, Found: found}, nil
	}
	var body protocol.PutData
	if err := protocol.Unmarshal(rec.Kind, rec.Payload, &body); err != nil {
		return nil, protocol.AsError(err, "put")
	}
	if body.Delete {
		return nil, d.take(body.Key)
	}
	if c := i.manager.core; c.pressure.level == levelFull && len(body.Value) > len(d.values[body.Key]) {
		e := gauge{c}.overloaded()
		e.Op = "put"
		return nil, e
	}
	return nil, d.put(body.Key, body.Value, i.manager.service.Limits.Data)
}

// dataOf gives what is kept with the session of a seat; nil when that is over.
func (t *seat) dataOf() *data {
	if t == nil || t.session.closed {
		return nil
	}
	return &t.session.data
}
