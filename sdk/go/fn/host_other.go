//go:build !wasip1

package fn

// Outside of the platform there is nobody to ask: every call answers what the platform answers for nothing, so that the
// rest of a function can be tested with `go test`.

func hostCallerWallet() []byte                            { return nil }
func hostCallerSubject() []byte                           { return nil }
func hostRequestID() []byte                               { return nil }
func hostCallerClaim(string) []byte                       { return nil }
func hostEnv(string) []byte                               { return nil }
func hostSecret(string) []byte                            { return nil }
func hostLog(bool, string)                                {}
func hostDBQuery(string, []byte) []byte                   { return nil }
func hostDBExecute(string, []byte) []byte                 { return nil }
func hostDBTransaction([]byte) []byte                     { return nil }
func hostDBQueryBatch([]byte) []byte                      { return nil }
func hostCacheGet(string) []byte                          { return nil }
func hostCacheSet(string, []byte, int64)                  {}
func hostCacheDelete(string) bool                         { return false }
func hostCacheAdd(string, int64) int64                    { return 0 }
func hostStoragePut(string, []byte) []byte                { return nil }
func hostStorageGet(string) []byte                        { return nil }
func hostStorageHead(string) []byte                       { return nil }
func hostFetch(string, string, []byte, []byte) []byte     { return nil }
func hostRespond(int, []byte, []byte) bool                { return false }
func hostInvoke(string, []byte) ([]byte, bool)            { return nil, false }
func hostInvokeAsync(string, []byte) bool                 { return false }
func hostClientID() []byte                                { return nil }
func hostPublish(string, []byte) bool                     { return false }
func hostPublishBatch([]byte) bool                        { return false }
func hostExecAndPublish([]byte, string, []byte) []byte    { return nil }
func hostSocketSend(string, []byte) bool                  { return false }
func hostSocketBroadcast(string, []byte) bool             { return false }
func hostSocketBridge(string, string) bool                { return false }
func hostSocketUnbridge(string, string) bool              { return false }
func hostEphemeralSet(string, string, []byte, int64) bool { return false }
func hostEphemeralClear(string, string) bool              { return false }
func hostEphemeralList(string) []byte                     { return nil }
func hostPushSend(string, []byte) []byte                  { return nil }
func hostNotify(string, []byte) []byte                    { return nil }
func hostScheduleOnce(string, []byte, int64) []byte       { return nil }
func hostEnqueue(string, []byte) []byte                   { return nil }
func hostJobStatus(string) []byte                         { return nil }
func hostJobCancel(string) bool                           { return false }
func hostJobProgress(int32) bool                          { return false }
