package fn

import "errors"

// Error is a failure that the platform reports.
type Error struct {
	// Code is stable, such as CONSTRAINT_VIOLATION or DEADLINE_EXCEEDED.
	Code string
	// Message is for people.
	Message string
}

func (e *Error) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// ErrNoRows is what [DB.QueryRow] answers when the query found nothing.
var ErrNoRows = errors.New("the query found no row")

// ErrNotFound is what the storage answers for content that the namespace does not have.
var ErrNotFound = errors.New("no such content")

func failure(code, message string) error {
	if message == "" && code == "" {
		return nil
	}
	return &Error{Code: code, Message: message}
}
