package fn

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// DB is the SQL database of the namespace.
type DB struct{}

// Result is what a statement changed.
type Result struct {
	RowsAffected int64 `json:"rows_affected"`
	LastInsertID int64 `json:"last_insert_id"`
}

// Blob is a column of bytes. Arguments of type []byte are sent as one.
type Blob []byte

type blobJSON struct {
	Base64 string `json:"base64"`
}

// MarshalJSON writes the form that the database takes.
func (b Blob) MarshalJSON() ([]byte, error) {
	return json.Marshal(blobJSON{base64.StdEncoding.EncodeToString(b)})
}

// UnmarshalJSON reads a column of bytes or text; null is nil.
func (b *Blob) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		*b = nil
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*b = Blob(text)
		return nil
	}
	var blob blobJSON
	if err := json.Unmarshal(data, &blob); err != nil {
		return fmt.Errorf("the column is neither bytes nor text: %w", err)
	}
	decoded, err := base64.StdEncoding.DecodeString(blob.Base64)
	*b = decoded
	return err
}

// Query puts every row into rows, a pointer to a slice of structs (fields by their json tags) or of map[string]any, in
// which numbers are [json.Number], so that no digit is lost.
func (DB) Query(rows any, sql string, args ...any) error {
	encoded, err := encodeArgs(args)
	if err != nil {
		return err
	}
	return readQuery(hostDBQuery(sql, encoded), rows)
}

// QueryRow puts the first row into row, a pointer to a struct or a map; [ErrNoRows] when there is none.
func (db DB) QueryRow(row any, sql string, args ...any) error {
	var rows []json.RawMessage
	if err := db.Query(&rows, sql, args...); err != nil {
		return err
	}
	if len(rows) == 0 {
		return ErrNoRows
	}
	return decode(rows[0], row)
}

// Exec runs one statement; what it changed is on disk when it returns.
func (DB) Exec(sql string, args ...any) (Result, error) {
	encoded, err := encodeArgs(args)
	if err != nil {
		return Result{}, err
	}
	var answer struct {
		Result
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	if err := decode(hostDBExecute(sql, encoded), &answer); err != nil {
		return Result{}, err
	}
	return answer.Result, failure(answer.Code, answer.Error)
}

// Op is a step of a transaction.
type Op struct {
	Kind string `json:"kind"`
	SQL  string `json:"sql"`
	Args []any  `json:"args,omitempty"`
}

// Exec is a step that changes something.
func Exec(sql string, args ...any) Op { return Op{Kind: "exec", SQL: sql, Args: withBlobs(args)} }

// Query is a step that reads, after the commit.
func Query(sql string, args ...any) Op { return Op{Kind: "query", SQL: sql, Args: withBlobs(args)} }

// OpResult is what a step answered.
type OpResult struct {
	Result
	Rows  json.RawMessage `json:"rows"`
	Error string          `json:"error"`
	Code  string          `json:"code"`
}

// Into puts the rows of a query step where rows points, as [DB.Query] does.
func (r OpResult) Into(rows any) error {
	if err := failure(r.Code, r.Error); err != nil {
		return err
	}
	return decode(r.Rows, rows)
}

// TransactionError says which step failed. Nothing of the transaction has happened.
type TransactionError struct {
	Cause *Error
	// Failed is the index of the step, or -1.
	Failed int
}

func (e *TransactionError) Error() string { return fmt.Sprintf("step %d: %v", e.Failed, e.Cause) }

// Unwrap is the failure itself.
func (e *TransactionError) Unwrap() error { return e.Cause }

// Transaction runs its exec steps all or none, then its query steps; at most 100 of them.
func (DB) Transaction(ops ...Op) ([]OpResult, error) {
	request, err := encodeOps(ops)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Results   []OpResult `json:"results"`
		Committed bool       `json:"committed"`
		Failed    *int       `json:"failed_index"`
		Error     string     `json:"error"`
		Code      string     `json:"code"`
	}{}
	if err := decode(hostDBTransaction(request), &answer); err != nil {
		return nil, err
	}
	if answer.Committed {
		return answer.Results, nil
	}
	failed := &TransactionError{Cause: &Error{Code: answer.Code, Message: answer.Error}, Failed: -1}
	if answer.Failed != nil {
		failed.Failed = *answer.Failed
	}
	return nil, failed
}

// QueryBatch runs several queries on one state of the database.
func (DB) QueryBatch(ops ...Op) ([]OpResult, error) {
	request, err := encodeOps(ops)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Results []OpResult `json:"results"`
		Error   string     `json:"error"`
		Code    string     `json:"code"`
	}
	if err := decode(hostDBQueryBatch(request), &answer); err != nil {
		return nil, err
	}
	return answer.Results, failure(answer.Code, answer.Error)
}

func encodeOps(ops []Op) ([]byte, error) {
	if ops == nil {
		ops = []Op{}
	}
	request, err := json.Marshal(map[string]any{"ops": ops})
	if err != nil {
		return nil, fmt.Errorf("encode the steps: %w", err)
	}
	return request, nil
}

func encodeArgs(args []any) ([]byte, error) {
	if len(args) == 0 {
		return nil, nil
	}
	encoded, err := json.Marshal(withBlobs(args))
	if err != nil {
		return nil, fmt.Errorf("encode the arguments: %w", err)
	}
	return encoded, nil
}

func withBlobs(args []any) []any {
	converted := make([]any, len(args))
	for i, arg := range args {
		if raw, is := arg.([]byte); is {
			converted[i] = Blob(raw)
		} else {
			converted[i] = arg
		}
	}
	return converted
}

func readQuery(answer []byte, rows any) error {
	var envelope struct {
		Rows  json.RawMessage `json:"rows"`
		Error string          `json:"error"`
		Code  string          `json:"code"`
	}
	if err := decode(answer, &envelope); err != nil {
		return err
	}
	if err := failure(envelope.Code, envelope.Error); err != nil {
		return err
	}
	return decode(envelope.Rows, rows)
}

// decode keeps every digit of numbers that have no type of their own.
func decode(text []byte, into any) error {
	if len(text) == 0 {
		return &Error{Code: "UNAVAILABLE", Message: "the platform answered nothing"}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read the platform's answer: %w", err)
	}
	return nil
}
