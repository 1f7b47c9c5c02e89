package fn

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// PubSub holds the topics of the namespace. A call publishes at most 1,000 messages.
type PubSub struct{}

// Message is one of a batch.
type Message struct {
	Topic string
	Data  []byte
}

type messageJSON struct {
	Topic string `json:"topic"`
	Data  string `json:"data_base64"`
}

// Publish sends a message of at most 1 MiB to whoever listens; true also says that the triggers of the topic will run. Why
// not is in the log of the call.
func (PubSub) Publish(topic string, data []byte) bool { return hostPublish(topic, data) }

// PublishBatch sends up to 100 messages, all or none.
func (PubSub) PublishBatch(messages ...Message) bool {
	encoded, err := encodeMessages(messages)
	return err == nil && hostPublishBatch(encoded)
}

func encodeMessages(messages []Message) ([]byte, error) {
	list := make([]messageJSON, len(messages))
	for i, message := range messages {
		list[i] = messageJSON{message.Topic, base64.StdEncoding.EncodeToString(message.Data)}
	}
	return json.Marshal(list)
}

// Published is what a transaction with a message did.
type Published struct {
	Results []OpResult `json:"results"`
	// Seq is the number that stands for {{seq}} in the message: 1, 2, 3, … for each namespace; 0 when it holds none.
	Seq int64 `json:"seq"`
	// Published is false when the transaction has happened but the message was refused; Problem says why.
	Published bool   `json:"published"`
	Problem   string `json:"publish_error"`
}

// ExecAndPublish runs its exec steps all or none, then its query steps, and then publishes a message, in which {{seq}} stands
// for a number that the transaction takes.
func (DB) ExecAndPublish(topic string, data []byte, ops ...Op) (Published, error) {
	request, err := encodeOps(ops)
	if err != nil {
		return Published{}, err
	}
	answer := struct {
		Published
		refusedJSON
	}{}
	if err := decode(hostExecAndPublish(request, topic, data), &answer); err != nil {
		return Published{}, err
	}
	return answer.Published, answer.refused()
}

// Ephemeral is state that dies with the WebSocket that a call came from: who types, who is in a room.
type Ephemeral struct{}

// EphemeralEntry is state that somebody's WebSocket holds.
type EphemeralEntry struct {
	Key         string `json:"key"`
	ClientID    string `json:"client_id"`
	Payload     []byte `json:"payload"`
	ExpiresInMs int64  `json:"expires_in_ms"`
}

// Set sets a key of this socket on a topic, and tells the topic. A ttl of 0 is a minute; more than half an hour is half an
// hour. False without a socket, for an empty topic or key, a payload above 16 KiB, or more than 256 keys.
func (Ephemeral) Set(topic, key string, payload []byte, ttl time.Duration) bool {
	ms := int64((ttl + time.Millisecond - 1) / time.Millisecond)
	return hostEphemeralSet(topic, key, payload, ms)
}

// Clear clears a key of this socket; true also when there is none.
func (Ephemeral) Clear(topic, key string) bool { return hostEphemeralClear(topic, key) }

// List is what is alive on a topic, by key. It needs no socket.
func (Ephemeral) List(topic string) ([]EphemeralEntry, error) {
	var answer struct {
		Entries []EphemeralEntry `json:"entries"`
	}
	err := decode(hostEphemeralList(topic), &answer)
	return answer.Entries, err
}

// Push reaches people who are away.
type Push struct{}

// PushMessage is what a user sees. Fields that are empty are not sent.
type PushMessage struct {
	Title           string         `json:"title,omitempty"`
	Body            string         `json:"body,omitempty"`
	Channel         string         `json:"channel,omitempty"`
	Priority        string         `json:"priority,omitempty"`
	Badge           *int           `json:"badge,omitempty"`
	Sound           string         `json:"sound,omitempty"`
	Data            map[string]any `json:"data,omitempty"`
	TargetProvider  string         `json:"target_provider,omitempty"`
	ExcludeProvider string         `json:"exclude_provider,omitempty"`
	MessageID       string         `json:"message_id,omitempty"`
}

// PushResult is what became of a message.
type PushResult struct {
	OK        bool           `json:"ok"`
	Attempted int            `json:"devices_attempted"`
	Succeeded int            `json:"devices_succeeded"`
	Devices   []DeviceResult `json:"results"`
}

// DeviceResult is what became of a message on one device.
type DeviceResult struct {
	DeviceID     string `json:"device_id"`
	Provider     string `json:"provider"`
	Success      bool   `json:"success"`
	HTTPStatus   int    `json:"http_status"`
	Reason       string `json:"reason"`
	Message      string `json:"message"`
	Unregistered bool   `json:"unregistered"`
}

// Notified says how a user was reached: Via is "socket", "push" or "inbox".
type Notified struct {
	Via       string     `json:"via"`
	Sockets   int        `json:"sockets"`
	Push      PushResult `json:"push"`
	ID        string     `json:"id"`
	ExpiresAt time.Time  `json:"expires_at"`
}

// Send sends a message to every device of a user. A user without devices is no failure.
func (Push) Send(user string, message PushMessage) (PushResult, error) {
	encoded, err := json.Marshal(message)
	if err != nil {
		return PushResult{}, fmt.Errorf("encode the message: %w", err)
	}
	var answer struct {
		PushResult
		refusedJSON
	}
	if err := decode(hostPushSend(user, encoded), &answer); err != nil {
		return PushResult{}, err
	}
	return answer.PushResult, answer.refused()
}

// Notify reaches a user over a live WebSocket if there is one, else by push, else in an inbox.
func (Push) Notify(user string, message PushMessage) (Notified, error) {
	encoded, err := json.Marshal(message)
	if err != nil {
		return Notified{}, fmt.Errorf("encode the message: %w", err)
	}
	var answer struct {
		Notified
		refusedJSON
	}
	if err := decode(hostNotify(user, encoded), &answer); err != nil {
		return Notified{}, err
	}
	return answer.Notified, answer.refused()
}

// Jobs are calls that are made later or in the background. What was accepted survives a crash.
type Jobs struct{}

// Job is what is known of one. Status is "pending", "running", "completed", "failed" or "cancelled".
type Job struct {
	ID          string    `json:"id"`
	Function    string    `json:"function"`
	Status      string    `json:"status"`
	Progress    int       `json:"progress"`
	RunAt       time.Time `json:"run_at"`
	CreatedAt   time.Time `json:"created_at"`
	StartedAt   time.Time `json:"started_at"`
	CompletedAt time.Time `json:"completed_at"`
	Result      []byte    `json:"-"`
	// Problem says why the job failed.
	Problem string `json:"error"`
}

// ScheduleOnce calls a function of the namespace once, at a time or soon after; returns the job's id. Why it was refused is
// in the log of the call.
func (Jobs) ScheduleOnce(name string, input []byte, at time.Time) (string, error) {
	return jobID(hostScheduleOnce(name, input, at.UnixMilli()))
}

// Enqueue calls a function as soon as there is room; returns the job's id.
func (Jobs) Enqueue(name string, input []byte) (string, error) {
	return jobID(hostEnqueue(name, input))
}

func jobID(id []byte) (string, error) {
	if len(id) == 0 {
		return "", &Error{Message: "the job was refused; why is in the log"}
	}
	return string(id), nil
}

// Status tells about a job.
func (Jobs) Status(id string) (Job, error) { return readJob(hostJobStatus(id)) }

func readJob(text []byte) (Job, error) {
	var answer struct {
		Job
		Code         string `json:"code"`
		Result       string `json:"result"`
		ResultBase64 []byte `json:"result_base64"`
	}
	if err := decode(text, &answer); err != nil {
		return Job{}, err
	}
	if answer.Code != "" {
		return Job{}, &Error{Code: answer.Code, Message: answer.Problem}
	}
	answer.Job.Result = answer.ResultBase64
	if answer.Result != "" {
		answer.Job.Result = []byte(answer.Result)
	}
	return answer.Job, nil
}

// Cancel ends a job that runs, or forgets one that waits; false when there is none, or when it has ended.
func (Jobs) Cancel(id string) bool { return hostJobCancel(id) }

// Progress says how far the job is that this call carries out, in percent; false when it carries out none.
func (Jobs) Progress(percent int) bool { return hostJobProgress(int32(max(-1, min(percent, 101)))) }

// refusedJSON is the end of an answer of which nothing came.
type refusedJSON struct {
	Error string `json:"error"`
	Code  string `json:"code"`
}

func (r refusedJSON) refused() error { return failure(r.Code, r.Error) }
