package fn

import (
	"errors"
	"testing"
	"time"
)

func TestMessagesTravelAsBase64(t *testing.T) {
	encoded, err := encodeMessages([]Message{{"a", []byte{0, 255}}, {"b", nil}})
	want := `[{"topic":"a","data_base64":"AP8="},{"topic":"b","data_base64":""}]`
	if err != nil || string(encoded) != want {
		t.Fatalf("%s %v", encoded, err)
	}
}

func TestNoStepsAreAnEmptyList(t *testing.T) {
	if encoded, err := encodeOps(nil); string(encoded) != `{"ops":[]}` || err != nil {
		t.Fatalf("%s %v", encoded, err)
	}
}

func TestWhoOpensASocket(t *testing.T) {
	opening, err := readOpening([]byte(`{"client_id":"ws-1","wallet":"0xada","namespace":"n","headers":{"A":"1","B":["2","3"],"C":4}}`))
	if err != nil || opening.ClientID != "ws-1" || opening.Wallet != "0xada" || opening.Namespace != "n" {
		t.Fatalf("%+v %v", opening, err)
	}
	if len(opening.Headers["A"]) != 1 || len(opening.Headers["B"]) != 2 || opening.Headers["C"] != nil {
		t.Fatalf("%v", opening.Headers)
	}
	if _, err := readOpening([]byte("{")); err == nil {
		t.Fatal("half an object says nothing")
	}
}

func TestASocketGoesOnWithoutAnError(t *testing.T) {
	defer HandleSocket(Socket{})
	var seen []string
	HandleSocket(Socket{
		OnOpen: func(_ Context, opening Opening) error {
			seen = append(seen, "open "+opening.ClientID)
			return nil
		},
		OnFrame: func(_ Context, frame []byte) error {
			seen = append(seen, string(frame))
			if string(frame) == "bye" {
				return ErrClose
			}
			return nil
		},
		OnClose: func(_ Context, reason string) { seen = append(seen, reason) },
	})
	if answer(openSocket([]byte(`{"client_id":"ws-1"}`))) != 0 || answer(frameOfSocket([]byte("a"))) != 0 {
		t.Fatal("it goes on")
	}
	if answer(frameOfSocket([]byte("bye"))) != 1 || answer(errors.New("broken")) != 1 {
		t.Fatal("it closes")
	}
	closeSocket([]byte("client_disconnect"))
	if len(seen) != 4 || seen[0] != "open ws-1" || seen[3] != "client_disconnect" {
		t.Fatal(seen)
	}
}

func TestAJobIsReadWithItsResult(t *testing.T) {
	job, err := readJob([]byte(`{"id":"j","function":"f","status":"completed","progress":100,"run_at":"1970-01-01T00:00:10Z","created_at":"1970-01-01T00:00:01Z","result":"{}"}`))
	if err != nil || string(job.Result) != "{}" || job.RunAt != time.Unix(10, 0).UTC() || !job.StartedAt.IsZero() {
		t.Fatalf("%+v %v", job, err)
	}
	job, err = readJob([]byte(`{"id":"j","status":"failed","error":"it trapped","result_base64":"AP8="}`))
	if err != nil || job.Problem != "it trapped" || string(job.Result) != "\x00\xff" {
		t.Fatalf("%+v %v", job, err)
	}
	_, err = readJob([]byte(`{"error":"no such job","code":"NOT_FOUND"}`))
	var failed *Error
	if !errors.As(err, &failed) || failed.Code != "NOT_FOUND" {
		t.Fatal(err)
	}
}

func TestOutsideOfThePlatformEverythingIsRefused(t *testing.T) {
	var ctx Context
	if ctx.PubSub.Publish("t", nil) || ctx.Sockets.Reply(nil) || ctx.Ephemeral.Set("t", "k", nil, time.Second) || ctx.Jobs.Progress(1) {
		t.Fatal("nobody is there")
	}
	if _, err := ctx.Jobs.Enqueue("f", nil); err == nil {
		t.Fatal("no job")
	}
	if _, err := ctx.Push.Notify("ada", PushMessage{Title: "Hello"}); err == nil {
		t.Fatal("nobody is reached")
	}
}
