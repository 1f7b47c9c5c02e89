module orama/sdk

go 1.24
