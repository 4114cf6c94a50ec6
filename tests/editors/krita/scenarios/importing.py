"""Krita's own importer takes the zip, as *Import Python Plugin from File* does after its file dialog."""

import os


def scenario(test):
    from plugin_importer.plugin_importer_extension import PluginImporterExtension

    document = test.document(64, 48)
    yield 500
    importer = PluginImporterExtension(test.krita)
    asked, errors = [], []
    importer.confirm_overwrite = lambda plugin: False  # nothing may be there yet
    importer.confirm_activate = lambda plugins: asked.append([each["name"] for each in plugins]) or True
    importer.display_errors = lambda error: errors.append(str(error))
    importer.do_import(os.environ["SAMOVAR_ZIP"])
    test.facts["asked"], test.facts["errors"] = asked, errors
    test.keep()
    document.setModified(False)
    document.close()
    yield 500
    test.krita.action("file_quit").trigger()  # Krita writes its settings when it ends
    yield 30_000
