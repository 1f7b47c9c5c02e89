module call-push-handler

go 1.24

require orama/sdk v0.0.0

replace orama/sdk => ../../sdk/go
