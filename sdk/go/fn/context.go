package fn

import "time"

// Context is one call: who calls, and the services of the function's namespace.
type Context struct {
	// DB is the SQL database of the namespace.
	DB DB
	// Cache holds bytes and counters with a time to live.
	Cache Cache
	// Storage holds content by its identifier.
	Storage Storage
	// Secrets are what `orama function secrets set` stored.
	Secrets Secrets
	// HTTP sends requests into the world.
	HTTP HTTP
	// Log writes into the log of the call.
	Log Log
	// Functions are the others of the namespace.
	Functions Functions
	// PubSub holds the topics of the namespace.
	PubSub PubSub
	// Sockets are the WebSockets of the namespace's functions.
	Sockets Sockets
	// Ephemeral is state that dies with the WebSocket that the call came from.
	Ephemeral Ephemeral
	// Push reaches people who are away.
	Push Push
	// Jobs are calls that are made later or in the background.
	Jobs Jobs
}

func newContext() Context { return Context{} }

// Wallet is the caller's wallet; the namespace when the caller used an API key; empty when nobody is known.
func (Context) Wallet() string { return string(hostCallerWallet()) }

// Subject is the `sub` claim of the caller's token; empty without a token.
func (Context) Subject() string { return string(hostCallerSubject()) }

// Claim is a custom claim of the caller's token; empty when there is none.
func (Context) Claim(name string) string { return string(hostCallerClaim(name)) }

// RequestID is the unique id of this invocation.
func (Context) RequestID() string { return string(hostRequestID()) }

// ClientID is the id of the WebSocket that the call came from; empty for other calls.
func (Context) ClientID() string { return string(hostClientID()) }

// Env is a variable of `env` in function.yaml; empty when it is not set.
func (Context) Env(key string) string { return string(hostEnv(key)) }

// Log writes into the log of the call: at most 16 KiB a line.
type Log struct{}

// Info writes a line at level info.
func (Log) Info(message string) { hostLog(false, message) }

// Error writes a line at level error.
func (Log) Error(message string) { hostLog(true, message) }

// Secrets of the namespace.
type Secrets struct{}

// Get is the value of a secret; false when there is none of this name.
func (Secrets) Get(name string) (string, bool) {
	value := hostSecret(name)
	return string(value), len(value) > 0
}

// Cache of the namespace.
type Cache struct{}

// Get is the value of a key; false on a miss. An empty value cannot be told from a miss.
func (Cache) Get(key string) ([]byte, bool) {
	value := hostCacheGet(key)
	return value, len(value) > 0
}

// Set keeps a value for ttl, counted in whole seconds, rounded up; 0 keeps it until it is deleted or room is needed.
func (Cache) Set(key string, value []byte, ttl time.Duration) {
	hostCacheSet(key, value, int64((ttl+time.Second-1)/time.Second))
}

// Delete forgets a key; one that is not there is no failure.
func (Cache) Delete(key string) bool { return hostCacheDelete(key) }

// Incr adds 1 to a counter and returns the sum; 0 when the value under the key is no number.
func (Cache) Incr(key string) int64 { return hostCacheAdd(key, 1) }

// IncrBy adds delta to a counter and returns the sum.
func (Cache) IncrBy(key string, delta int64) int64 { return hostCacheAdd(key, delta) }

// Functions of the namespace.
type Functions struct{}

// Invoke calls another function and returns its output. It fails when the function fails; why is in the log of the call.
func (Functions) Invoke(name string, input []byte) ([]byte, error) {
	output, ok := hostInvoke(name, input)
	if !ok {
		return nil, &Error{Code: "FUNCTION_EXECUTION_FAILED", Message: "the function `" + name + "` answered nothing or failed"}
	}
	return output, nil
}

// InvokeAsync asks for a call that nobody waits for; true when it was accepted.
func (Functions) InvokeAsync(name string, input []byte) bool { return hostInvokeAsync(name, input) }
