package fn

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestRowsKeepEveryDigitAndBytesAreBlobs(t *testing.T) {
	var rows []struct {
		ID    int64 `json:"id"`
		Image Blob  `json:"image"`
		Note  *string
	}
	answer := `{"rows":[{"id":9007199254740993,"image":{"base64":"AP8="},"note":null}]}`
	if err := readQuery([]byte(answer), &rows); err != nil {
		t.Fatal(err)
	}
	if rows[0].ID != 9007199254740993 || string(rows[0].Image) != "\x00\xff" || rows[0].Note != nil {
		t.Fatalf("%+v", rows[0])
	}
	var maps []map[string]any
	if err := readQuery([]byte(answer), &maps); err != nil {
		t.Fatal(err)
	}
	if maps[0]["id"] != json.Number("9007199254740993") {
		t.Fatalf("%v", maps[0]["id"])
	}
}

func TestArgumentsOfBytesAreSentAsBlobs(t *testing.T) {
	encoded, err := encodeArgs([]any{1, "a", []byte{0, 255}, nil, int64(1) << 60})
	if err != nil || string(encoded) != `[1,"a",{"base64":"AP8="},null,1152921504606846976]` {
		t.Fatalf("%s %v", encoded, err)
	}
}

func TestAFailureHasACode(t *testing.T) {
	err := readQuery([]byte(`{"rows":[],"error":"no such table: t","code":"INVALID_ARGUMENT"}`), &[]any{})
	var failed *Error
	if !errors.As(err, &failed) || failed.Code != "INVALID_ARGUMENT" {
		t.Fatal(err)
	}
	if err := readQuery(nil, &[]any{}); err == nil {
		t.Fatal("nothing at all is a failure")
	}
}

func TestARequestIsReadFromTheEnvironment(t *testing.T) {
	request := requestOf([]string{"REQUEST_METHOD=PUT", "PATH_INFO=/a", "QUERY_STRING=b=1", "CONTENT_TYPE=text/plain", "HTTP_X_ID=7", "PATH=/bin"}, []byte("x"))
	if request.Method != "PUT" || request.Path != "/a" || request.Query != "b=1" || request.Header.Get("x-id") != "7" || request.Header.Get("Content-Type") != "text/plain" || len(request.Header) != 2 {
		t.Fatalf("%+v", request)
	}
}

func TestAnEmptyInputIsTheZeroValueAndAWrongOneSaysSo(t *testing.T) {
	double := typed(func(_ Context, in struct{ N int }) (int, error) { return 2 * in.N, nil })
	if out, err := double(Context{}, nil); string(out) != "0" || err != nil {
		t.Fatalf("%s %v", out, err)
	}
	if _, err := double(Context{}, []byte(`{"n":"x"}`)); err == nil {
		t.Fatal("a text is no number")
	}
}
