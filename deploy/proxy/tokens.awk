# Reads the table of classes, then lines NAME:TOKEN[:CLASS]; writes nginx's maps from tokens to names to classes.
# No message shows a token.

function fail(reason) {
    printf "%s, line %d: %s\n", FILENAME, FNR, reason > "/dev/stderr"
    failed = 1
    exit 1
}

BEGIN { FS = ":" }

{ sub(/\r$/, "") }
/^[ \t]*(#|$)/ { next }

FILENAME == ARGV[1] {
    split($0, columns, " ")
    classes[columns[1]] = 1
    next
}

{
    name = $1
    token = $2
    class = NF > 2 ? $3 : "standard"
    if (NF < 2 || NF > 3) fail("it must be NAME:TOKEN or NAME:TOKEN:CLASS")
    if (name !~ /^[A-Za-z0-9][A-Za-z0-9_.-]*$/ || length(name) > 64)
        fail("a name is up to 64 letters, digits, '_', '.' and '-', and begins with a letter or digit")
    # Here the name may still be a token, in a line that has them the wrong way round: it is not shown.
    if (token !~ /^[A-Za-z0-9._~+\/=-]+$/) fail("the token holds other characters than A-Z a-z 0-9 - . _ ~ + / =")
    if (length(token) < 32) fail("the token is shorter than 32 characters; new-token.sh makes one")
    # The names are the keys of a map, where these mean something to nginx, and upper and lower case are the same.
    if (tolower(name) ~ /^(default|hostnames|include|volatile)$/) fail("nobody can be named " name)
    if (tolower(name) in spelt && spelt[tolower(name)] != name) fail(name " and " spelt[tolower(name)] " differ in case only")
    spelt[tolower(name)] = name
    if (!(class in classes)) fail("the class of " name " is not in the table of classes")
    if (token in owner) fail("the token of " name " is that of " owner[token] " too")
    if (name in class_of && class_of[name] != class) fail(name " has two classes")
    owner[token] = name
    class_of[name] = class
    count++
}

END {
    if (failed) exit 1
    if (!count) {
        print ARGV[2] " holds no token: nobody could get in; new-token.sh makes one" > "/dev/stderr"
        exit 1
    }
    # Patterns, as nginx compares plain strings without regard to case.
    print "map $http_authorization $sightline_client {\n    default \"\";"
    for (token in owner) printf "    \"~^(?i:Bearer) +\\Q%s\\E\\z\" %s;\n", token, owner[token]
    print "}\nmap $sightline_client $sightline_class {\n    default \"\";"
    for (name in class_of) printf "    %s %s;\n", name, class_of[name]
    print "}"
}
