# Starts ArcadeDB: passwords by files, since everybody may read arguments; its log to standard output only.
# Mode `production` hides from clients what is wrong with their statements, and nothing else switches that off; what else
# it does is said here: commits are flushed, and LOAD CSV reads no local files.
set -eu
exec "$ARCADEDB_JAVA" -Xms64m -Xmx"$PARAM_MEMORY" -XX:+UseSerialGC -XX:-UsePerfData \
    --add-exports=java.management/sun.management=ALL-UNNAMED --enable-native-access=ALL-UNNAMED \
    -Djava.awt.headless=true -Djava.util.logging.config.file="$POD_TEMPLATE/graph-logging.conf" \
    -Darcadedb.server.mode=test -Darcadedb.txWalFlush=1 -Darcadedb.opencypher.loadCsv.allowFileUrls=false \
    -Darcadedb.server.rootPath="$POD_DATA" \
    -Darcadedb.server.databaseDirectory="$POD_DATA/databases" \
    -Darcadedb.server.rootPasswordPath="$POD_RUN/root-password" \
    "@$POD_RUN/users" \
    -Darcadedb.server.httpIncomingHost="$POD_LISTEN" -Darcadedb.server.httpIncomingPort="$HTTP_PORT" \
    -Darcadedb.server.plugins=Bolt:com.arcadedb.bolt.BoltProtocolPlugin \
    -Darcadedb.bolt.host="$POD_LISTEN" -Darcadedb.bolt.port="$BOLT_PORT" \
    -cp "$ARCADEDB_JARS/*" com.arcadedb.server.ArcadeDBServer
