using System.Globalization;

namespace Stig.Model.Imaging;

/// <summary>An image file as it was found.</summary>
/// <param name="Path">The path to open it by.</param>
/// <param name="RelativeName">Its name relative to the folder that was searched, with '/' between parts; its plain name where
/// the file itself was named.</param>
public readonly record struct ImageFile(string Path, string RelativeName);

/// <summary>Finds image files by their extensions.</summary>
public static class ImageFiles
{
    /// <summary>The extensions looked for, in lower case; case does not matter.</summary>
    public static IReadOnlyList<string> Extensions { get; } = [".png", ".jpg", ".jpeg", ".webp", ".bmp"];

    /// <summary>Finds the images in a folder and in all folders below it, in ordinal order of their relative names.</summary>
    /// <remarks>Links to files and folders are followed. Each folder is read once, however many links lead to it, so links that
    /// lead back end the search there.</remarks>
    /// <param name="folder">The folder.</param>
    /// <exception cref="ImageDataException">The folder is missing, cannot be read, or holds no image.</exception>
    public static IReadOnlyList<ImageFile> FindIn(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        if (!Directory.Exists(folder))
        {
            throw new ImageDataException(File.Exists(folder)
                ? $"{folder} is a file, not a folder. Name the folder that holds the images."
                : $"There is no folder {folder}. Check the name, or make the folder and put images into it.");
        }

        var found = new List<ImageFile>();
        Collect(folder, "", found, []);
        if (found.Count == 0)
        {
            throw new ImageDataException($"No images in {folder} and the folders below it: looked for files ending in " +
                                         $"{string.Join(", ", Extensions)}. Put images there or name another folder.");
        }

        found.Sort((a, b) => string.CompareOrdinal(a.RelativeName, b.RelativeName));
        return found;
    }

    /// <summary>Finds the images meant by a mixture of files and folders: a file means itself, whatever its extension, a folder
    /// what
    /// <see cref="FindIn"/> finds; in the order given.</summary>
    /// <param name="inputs">Files and folders.</param>
    /// <exception cref="ImageDataException">An input is missing, a folder holds no image, or two different files have the same
    /// relative name, so that results named after them would overwrite each other.</exception>
    public static IReadOnlyList<ImageFile> Find(IEnumerable<string> inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        var found = new List<ImageFile>();
        var byName = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string input in inputs)
        {
            IReadOnlyList<ImageFile> files = File.Exists(input) ? [new ImageFile(input, Path.GetFileName(input))] : FindIn(input);
            foreach (ImageFile file in files)
            {
                string full = Path.GetFullPath(file.Path);
                if (byName.TryAdd(file.RelativeName, full))
                {
                    found.Add(file);
                }
                else if (byName[file.RelativeName] != full)
                {
                    throw new ImageDataException($"{byName[file.RelativeName]} and {full} share the relative name {file.RelativeName}. " +
                                                 "Process them one after the other, into different folders.");
                }
            }
        }

        return found;
    }

    /// <summary>A text as one line that a terminal shows as it is, since names of files can hold anything: control characters as \n, \r, \t, or
    /// \u and four digits.</summary>
    /// <param name="text">A name, or a message with names in it.</param>
    public static string Printable(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return !text.Any(char.IsControl) ? text : string.Concat(text.Select(character => character switch
        {
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            _ when char.IsControl(character) => string.Create(CultureInfo.InvariantCulture, $"\\u{(int)character:X4}"),
            _ => character.ToString(),
        }));
    }

    private static void Collect(string folder, string relative, List<ImageFile> found, HashSet<string> visited)
    {
        if (!visited.Add(Canonical(Path.GetFullPath(folder), 0)))
        {
            return;
        }

        string[] files, folders;
        try
        {
            files = Directory.GetFiles(folder);
            folders = Directory.GetDirectories(folder);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ImageDataException(
                $"The folder {folder} cannot be read: {error.Message.TrimEnd('.')}. Check its permissions.", error);
        }

        foreach (string file in files)
        {
            if (Extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
            {
                found.Add(new ImageFile(file, relative + Path.GetFileName(file)));
            }
        }

        // Sorted, so that which of several links to a folder names its images does not depend on the file system.
        Array.Sort(folders, StringComparer.Ordinal);
        foreach (string inner in folders)
        {
            Collect(inner, $"{relative}{Path.GetFileName(inner)}/", found, visited);
        }
    }

    /// <summary>A file or, for a link, what it leads to: length and times of a link are its own. A link that leads nowhere is given
    /// itself.</summary>
    internal static FileInfo Followed(string path)
    {
        var file = new FileInfo(path);
        if (file.Exists && !file.Attributes.HasFlag(FileAttributes.ReparsePoint))
        {
            return file;
        }

        try
        {
            return file.LinkTarget is null ? file : new FileInfo(file.ResolveLinkTarget(returnFinalTarget: true)!.FullName);
        }
        catch (IOException)
        {
            // A circle of links; to open it tells so.
            return file;
        }
    }

    /// <summary>The path without links in it, part by part from the root. Links that go in circles have no end; 40 steps are the system's
    /// limit too.</summary>
    internal static string Canonical(string full, int depth)
    {
        string canonical = Path.GetPathRoot(full)!;
        foreach (string part in full[canonical.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))
        {
            string next = Path.Combine(canonical, part);
            string? target = depth < 40 ? new DirectoryInfo(next).LinkTarget : null;
            canonical = target is null ? next : Canonical(Path.GetFullPath(target, canonical), depth + 1);
        }

        return canonical;
    }
}
