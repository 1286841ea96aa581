# Reads the table of errors; writes the answer to each, for gRPC (a status without a message, in trailers only) and HTTP.

{ sub(/\r$/, "") }
/^[ \t]*(#|$)/ { next }

{
    text = $0
    sub(/^[0-9]+ +[0-9]+ +/, "", text)
    header = ""
    if ($1 == 401) header = "    add_header WWW-Authenticate Bearer always;\n"
    if ($1 == 429) header = "    add_header Retry-After 1 always;\n"
    printf "error_page %d = @error_%d_$sightline_form;\n", $1, $1
    printf "location @error_%d_grpc {\n    default_type application/grpc;\n", $1
    printf "    add_header grpc-status %d always;\n    add_header grpc-message \"%s\" always;\n", $2, text
    print "    return 200 \"\";\n}"
    printf "location @error_%d_json {\n    default_type application/json;\n%s", $1, header
    printf "    return %d '{\"error\":\"%s\"}\\n';\n}\n", $1 == 494 ? 431 : $1, text
}
