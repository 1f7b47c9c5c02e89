//go:build wasip1

package fn

import "unsafe"

//go:wasmexport orama_free
func oramaFree(place, _ uint32) { delete(given, place) }

//go:wasmexport ws_open
func wsOpen(place, length uint32) uint32 { return answer(openSocket(lent(place, length))) }

//go:wasmexport ws_frame
func wsFrame(place, length uint32) uint32 { return answer(frameOfSocket(lent(place, length))) }

//go:wasmexport ws_close
func wsClose(place, length uint32) { closeSocket(lent(place, length)) }

// lent is what the host has placed for one call, and takes back after it. Whoever keeps a part of it may: it is ordinary
// memory, of which the host forgets only the place.
func lent(place, length uint32) []byte {
	buffer := given[place]
	if uint32(len(buffer)) < length {
		return nil
	}
	return buffer[:length]
}

//go:wasmimport env get_ws_client_id
func getClientID() uint64

//go:wasmimport env pubsub_publish
func pubsubPublish(topic unsafe.Pointer, topicLen uint32, data unsafe.Pointer, dataLen uint32) uint32

//go:wasmimport env pubsub_publish_batch
func pubsubPublishBatch(messages unsafe.Pointer, messagesLen uint32) uint32

//go:wasmimport env exec_and_publish
func execAndPublish(ops unsafe.Pointer, opsLen uint32, topic unsafe.Pointer, topicLen uint32, data unsafe.Pointer, dataLen uint32) uint64

//go:wasmimport env ws_send
func wsSend(client unsafe.Pointer, clientLen uint32, data unsafe.Pointer, dataLen uint32) uint32

//go:wasmimport env ws_broadcast
func wsBroadcast(topic unsafe.Pointer, topicLen uint32, data unsafe.Pointer, dataLen uint32) uint32

//go:wasmimport env ws_pubsub_bridge
func wsBridge(client unsafe.Pointer, clientLen uint32, topic unsafe.Pointer, topicLen uint32) uint32

//go:wasmimport env ws_pubsub_unbridge
func wsUnbridge(client unsafe.Pointer, clientLen uint32, topic unsafe.Pointer, topicLen uint32) uint32

//go:wasmimport env ephemeral_state_set
func ephemeralSet(topic unsafe.Pointer, topicLen uint32, key unsafe.Pointer, keyLen uint32, payload unsafe.Pointer, payloadLen uint32, ttlMs int64) uint32

//go:wasmimport env ephemeral_state_clear
func ephemeralClear(topic unsafe.Pointer, topicLen uint32, key unsafe.Pointer, keyLen uint32) uint32

//go:wasmimport env ephemeral_state_list
func ephemeralList(topic unsafe.Pointer, topicLen uint32) uint64

//go:wasmimport env push_send_v2
func pushSend(user unsafe.Pointer, userLen uint32, message unsafe.Pointer, messageLen uint32) uint64

//go:wasmimport env notify
func notify(user unsafe.Pointer, userLen uint32, message unsafe.Pointer, messageLen uint32) uint64

//go:wasmimport env schedule_once
func scheduleOnce(name unsafe.Pointer, nameLen uint32, input unsafe.Pointer, inputLen uint32, atMs int64) uint64

//go:wasmimport env enqueue_background
func enqueueBackground(name unsafe.Pointer, nameLen uint32, input unsafe.Pointer, inputLen uint32) uint64

//go:wasmimport env job_status
func jobStatus(id unsafe.Pointer, idLen uint32) uint64

//go:wasmimport env job_cancel
func jobCancel(id unsafe.Pointer, idLen uint32) uint32

//go:wasmimport env job_progress
func jobProgress(percent int32) uint32

func hostClientID() []byte { return take(getClientID()) }

func hostPublish(topic string, data []byte) bool {
	tp, tl := text(topic)
	dp, dl := raw(data)
	return pubsubPublish(tp, tl, dp, dl) == 1
}

func hostPublishBatch(messages []byte) bool {
	mp, ml := raw(messages)
	return pubsubPublishBatch(mp, ml) == 1
}

func hostExecAndPublish(ops []byte, topic string, data []byte) []byte {
	op, ol := raw(ops)
	tp, tl := text(topic)
	dp, dl := raw(data)
	return take(execAndPublish(op, ol, tp, tl, dp, dl))
}

func hostSocketSend(client string, data []byte) bool {
	cp, cl := text(client)
	dp, dl := raw(data)
	return wsSend(cp, cl, dp, dl) == 1
}

func hostSocketBroadcast(topic string, data []byte) bool {
	tp, tl := text(topic)
	dp, dl := raw(data)
	return wsBroadcast(tp, tl, dp, dl) == 1
}

func hostSocketBridge(client, topic string) bool {
	cp, cl := text(client)
	tp, tl := text(topic)
	return wsBridge(cp, cl, tp, tl) == 1
}

func hostSocketUnbridge(client, topic string) bool {
	cp, cl := text(client)
	tp, tl := text(topic)
	return wsUnbridge(cp, cl, tp, tl) == 1
}

func hostEphemeralSet(topic, key string, payload []byte, ttlMs int64) bool {
	tp, tl := text(topic)
	kp, kl := text(key)
	pp, pl := raw(payload)
	return ephemeralSet(tp, tl, kp, kl, pp, pl, ttlMs) == 1
}

func hostEphemeralClear(topic, key string) bool {
	tp, tl := text(topic)
	kp, kl := text(key)
	return ephemeralClear(tp, tl, kp, kl) == 1
}

func hostEphemeralList(topic string) []byte {
	tp, tl := text(topic)
	return take(ephemeralList(tp, tl))
}

func hostPushSend(user string, message []byte) []byte {
	up, ul := text(user)
	mp, ml := raw(message)
	return take(pushSend(up, ul, mp, ml))
}

func hostNotify(user string, message []byte) []byte {
	up, ul := text(user)
	mp, ml := raw(message)
	return take(notify(up, ul, mp, ml))
}

func hostScheduleOnce(name string, input []byte, atMs int64) []byte {
	np, nl := text(name)
	ip, il := raw(input)
	return take(scheduleOnce(np, nl, ip, il, atMs))
}

func hostEnqueue(name string, input []byte) []byte {
	np, nl := text(name)
	ip, il := raw(input)
	return take(enqueueBackground(np, nl, ip, il))
}

func hostJobStatus(id string) []byte {
	ip, il := text(id)
	return take(jobStatus(ip, il))
}

func hostJobCancel(id string) bool {
	ip, il := text(id)
	return jobCancel(ip, il) == 1
}

func hostJobProgress(percent int32) bool { return jobProgress(percent) == 1 }
