/* Answers what it was asked: the HTTP request as JSON. With `http: true` in function.yaml, the request is in the environment
 * as CGI names it (REQUEST_METHOD, PATH_INFO, QUERY_STRING, HTTP_...), and its body is on stdin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static void print_string(const char *text, size_t length) {
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') printf("\\%c", c);
        else if (c < 0x20) printf("\\u%04x", c);
        else putchar(c);
    }
    putchar('"');
}

static void print_variable(const char *field, const char *variable) {
    const char *value = getenv(variable);
    printf("\"%s\":", field);
    if (value) print_string(value, strlen(value));
    else printf("null");
    putchar(',');
}

/* HTTP_USER_AGENT is the header user-agent. A credential is nobody's to see again. */
static void print_headers(void) {
    const char *separator = "";
    printf("\"headers\":{");
    for (char **variable = environ; *variable; variable++) {
        char *equals = strchr(*variable, '=');
        if (strncmp(*variable, "HTTP_", 5) != 0 || !equals || strncmp(*variable, "HTTP_AUTHORIZATION=", 19) == 0) continue;
        for (char *c = *variable + 5; c < equals; c++) *c = *c == '_' ? '-' : *c >= 'A' && *c <= 'Z' ? *c + 32 : *c;
        printf("%s", separator);
        print_string(*variable + 5, (size_t)(equals - *variable - 5));
        putchar(':');
        print_string(equals + 1, strlen(equals + 1));
        separator = ",";
    }
    printf("},");
}

int main(void) {
    static char body[1 << 20];
    size_t length = fread(body, 1, sizeof body, stdin);
    putchar('{');
    print_variable("method", "REQUEST_METHOD");
    print_variable("path", "PATH_INFO");
    print_variable("query", "QUERY_STRING");
    print_variable("content_type", "CONTENT_TYPE");
    print_headers();
    printf("\"body\":");
    print_string(body, length);
    putchar('}');
    fprintf(stderr, "echoed %zu bytes\n", length);
    return 0;
}
