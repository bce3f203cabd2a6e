# Becomes JupyterLab, run by the environment it was told of or by Podgate's own.
set -eu
umask 077
if [ -n "$PARAM_PYTHON" ]; then
    PYTHON=$PARAM_PYTHON
    if ! [ -x "$PYTHON" ]; then
        echo "python: $PYTHON is not a program that the pod's user can run; give another, as one below /opt or /srv"
        exit 78 # EX_CONFIG of sysexits.h
    fi
    if ! "$PYTHON" -c "import jupyterlab"; then
        echo "python: $PYTHON has no JupyterLab; install it with: $PYTHON -m pip install jupyterlab"
        exit 78
    fi
else
    export LD_LIBRARY_PATH="$PYTHON_LIBRARIES" # it may have been moved to where pods' users can reach it
    export PYTHONPATH="$JUPYTER_PACKAGES" JUPYTER_PATH="$JUPYTER_SHARE"
fi
mkdir -p "$POD_DATA/notebooks" "$POD_RUN/config/labconfig"
cat > "$POD_RUN/config/labconfig/page_config.json" <<END
{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}
END
export JUPYTER_CONFIG_PATH="$POD_RUN/config${JUPYTER_ETC:+:$JUPYTER_ETC}" JUPYTER_RUNTIME_DIR="$POD_RUN/jupyter"
exec "$PYTHON" -m jupyterlab --config="$POD_TEMPLATE/jupyter-config.py"
