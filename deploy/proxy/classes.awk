# Reads the table of classes; writes nginx's zones and routes, or with `-v part=locations` the location of each class.

function fail(reason) {
    printf "%s, line %d: %s\n", FILENAME, FNR, reason > "/dev/stderr"
    failed = 1
    exit 1
}

{ sub(/\r$/, "") }
/^[ \t]*(#|$)/ { next }

{
    if (NF != 6) fail("a class has six columns: name, requests/s, at once, body, streams, admin")
    if ($1 !~ /^[a-z][a-z0-9]*$/) fail("the name of a class is lower-case letters and digits")
    if ($1 ~ /^(public|unauthenticated|unknown|forbidden|requests|streams)$/) fail("a class cannot be named " $1)
    if ($1 in rate) fail("class " $1 " stands there twice")
    if ($2 !~ /^[1-9][0-9]*$/ || $3 !~ /^[1-9][0-9]*$/) fail("requests/s and at once must be whole numbers of at least 1")
    if ($4 !~ /^[1-9][0-9]*[kmg]?$/) fail("body must be a size such as 64m")
    if ($5 !~ /^[0-9]+$/) fail("streams must be a whole number, 0 for none")
    if ($6 != "yes" && $6 != "no") fail("admin must be yes or no")
    names[++count] = $1
    rate[$1] = $2
    at_once[$1] = $3
    body[$1] = $4
    streams[$1] = $5
    admin[$1] = $6
}

function print_maps(    i, name) {
    print "map \"$sightline_class:$sightline_kind\" $sightline_route {\n    default forbidden;"
    print "    \"~:public\\z\" public;\n    \"~^:\" unauthenticated;\n    \"~:unknown\\z\" unknown;"
    for (i = 1; i <= count; i++) {
        name = names[i]
        printf "    %s:ordinary %s;\n", name, name
        if (streams[name] > 0) printf "    %s:stream %s_stream;\n", name, name
        if (admin[name] == "yes") printf "    %s:admin %s;\n", name, name
    }
    print "}\nmap $sightline_class $sightline_body_limit {"
    for (i = 1; i <= count; i++) printf "    %s %s;\n", names[i], body[names[i]]
    print "}\nmap $sightline_class $sightline_pace {"
    for (i = 1; i <= count; i++)
        printf "    %s \"%d requests a second, %d at once, %d streams\";\n", names[i], rate[names[i]], \
            at_once[names[i]], streams[names[i]]
    print "}\nlimit_conn_zone $sightline_client zone=requests:4m;\nlimit_conn_zone $sightline_client zone=streams:4m;"
    for (i = 1; i <= count; i++)
        printf "limit_req_zone $sightline_client zone=%s:4m rate=%dr/s;\n", names[i], rate[names[i]]
}

# Half of what may be under way passes at once, the rest waits its turn.
function print_pace(name,    unhindered) {
    unhindered = int(at_once[name] / 2)
    printf "    limit_req zone=%s burst=%d%s;\n", name, at_once[name], unhindered ? " delay=" unhindered : ""
}

function print_locations(    i, name, port) {
    for (i = 1; i <= count; i++) {
        name = names[i]
        for (port = 1; port <= 2; port++) {
            printf "location /%s/%s {\n", name, port == 1 ? "" : "v2"
            print_pace(name)
            printf "    limit_conn requests %d;\n    client_max_body_size %s;\n", at_once[name], body[name]
            if (port == 1) print "    grpc_read_timeout 15m;"
            else print "    rewrite \"^/[^/]+(/.*)\\z\" $1 break;\n    proxy_read_timeout 15m;"
            printf "    include %s.conf;\n}\n", port == 1 ? "to_grpc" : "to_http"
        }
        if (streams[name] == 0) continue
        printf "location /%s_stream/ {\n", name
        print_pace(name)
        printf "    limit_conn streams %d;\n    include stream.conf;\n}\n", streams[name]
    }
}

END {
    if (failed) exit 1
    if (!("standard" in rate)) {
        print ARGV[1] " lacks the class `standard`, which tokens without a class belong to" > "/dev/stderr"
        exit 1
    }
    if (part == "locations") print_locations()
    else print_maps()
}
