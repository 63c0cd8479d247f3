using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

public sealed class ImageFilesTests
{
    [Fact]
    public void Images_are_found_below_a_folder_in_ordinal_order()
    {
        using var folder = new TestFolder();
        foreach (string name in new[] { "b.PNG", "a.jpeg", "B.webp", "sub/c.bmp", "sub/deep/d.Jpg", "notes.txt", "e.png.bak" })
        {
            folder.Write(name, "x"u8);
        }

        IReadOnlyList<ImageFile> found = ImageFiles.FindIn(folder.Root);
        Assert.Equal(["B.webp", "a.jpeg", "b.PNG", "sub/c.bmp", "sub/deep/d.Jpg"], found.Select(file => file.RelativeName));
        Assert.All(found, file => Assert.True(File.Exists(file.Path)));
    }

    [Fact]
    public void Names_become_one_line_and_stay_so()
    {
        string line = ImageFiles.Printable("a\nb\rc\td\u001B[2Je\u0085\u007F\u00E9\\n.png");
        Assert.Equal("a\\nb\\rc\\td\\u001B[2Je\\u0085\\u007F\u00E9\\n.png", line);
        Assert.Equal(line, ImageFiles.Printable(line));
    }

    [Fact]
    public void Links_that_lead_back_end_the_search()
    {
        using var folder = new TestFolder();
        folder.Write("set/a.png", "x"u8);
        folder.Write("elsewhere/b.png", "x"u8);
        Directory.CreateSymbolicLink(folder["set/back"], folder["set"]);
        Directory.CreateSymbolicLink(folder["set/up"], "..");
        Directory.CreateSymbolicLink(folder["set/other"], "../elsewhere");
        Directory.CreateSymbolicLink(folder["elsewhere/return"], folder["set"]);
        // "other" is read through whichever link comes first in order; each image turns up once.
        Assert.Equal(["a.png", "other/b.png"], ImageFiles.FindIn(folder["set"]).Select(file => file.RelativeName));

        Directory.CreateSymbolicLink(folder["loop1"], folder["loop2"]);
        Directory.CreateSymbolicLink(folder["loop2"], folder["loop1"]);
        Assert.Throws<ImageDataException>(() => ImageFiles.FindIn(folder["loop1"]));
    }

    [Fact]
    public void Missing_or_empty_folder_is_named_with_the_remedy()
    {
        using var folder = new TestFolder();
        folder.Write("notes.txt", "x"u8);
        var none = Assert.Throws<ImageDataException>(() => ImageFiles.FindIn(folder.Root));
        Assert.Contains(folder.Root, none.Message, StringComparison.Ordinal);
        Assert.All(ImageFiles.Extensions, extension => Assert.Contains(extension, none.Message, StringComparison.Ordinal));
        var missing = Assert.Throws<ImageDataException>(() => ImageFiles.FindIn(folder["nowhere"]));
        Assert.Contains(folder["nowhere"], missing.Message, StringComparison.Ordinal);
        var file = Assert.Throws<ImageDataException>(() => ImageFiles.FindIn(folder["notes.txt"]));
        Assert.Contains("is a file", file.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', none.Message + missing.Message);
    }

    [Fact]
    public void Files_and_folders_mix_and_names_that_clash_are_refused()
    {
        using var folder = new TestFolder();
        string a = folder.Write("one/a.png", "x"u8), odd = folder.Write("odd.dat", "x"u8);
        folder.Write("one/b.png", "x"u8);
        folder.Write("two/b.png", "x"u8);
        Assert.Equal(["odd.dat", "a.png", "b.png"], ImageFiles.Find([odd, folder["one"], a]).Select(file => file.RelativeName));
        var clash = Assert.Throws<ImageDataException>(() => ImageFiles.Find([folder["one"], folder["two"]]));
        Assert.Contains("b.png", clash.Message, StringComparison.Ordinal);
    }
}
