using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

public sealed class PngTextTests : IDisposable
{
    private static readonly KeyValuePair<string, string>[] Texts = [new("Software", "stig 1.2.3"), new("Comment", "zwölf\nlines")];

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Texts_are_read_back_and_the_image_stays()
    {
        RgbImage image = SyntheticImages.RealLike(1, 0, 16);

        ImageCodec.Save(folder["plain.png"], image);
        ImageCodec.Save(folder["texts.png"], image, Texts);

        Assert.Empty(PngText.Read(File.ReadAllBytes(folder["plain.png"])));
        Assert.Equal(Texts, PngText.Read(File.ReadAllBytes(folder["texts.png"])));
        Assert.Equal(image.Pixels, ImageCodec.Load(folder["texts.png"]).Pixels);
    }

    // Read checks the checksum of every chunk of a file that libpng wrote, so both agree on the checksum; one changed bit is found.
    [Fact]
    public void A_changed_bit_is_found()
    {
        ImageCodec.Save(folder["a.png"], SyntheticImages.RealLike(1, 0, 16), Texts);
        byte[] png = File.ReadAllBytes(folder["a.png"]);

        // From the type of the first chunk on: a changed signature or length is found otherwise.
        for (int i = 12; i < png.Length; i += 17)
        {
            byte[] changed = [.. png];
            changed[i] ^= 4;
            Assert.Throws<ArgumentException>(() => PngText.Read(changed));
        }

        Assert.Throws<ArgumentException>(() => PngText.Read(png.AsSpan(0, png.Length - 1)));
    }

    // The chunk as ISO/IEC 15948 lays it out; its checksum 2E E6 17 0E by zlib's crc32 of "tEXtSoftware\0a".
    [Fact]
    public void A_chunk_has_the_bytes_of_the_standard()
    {
        ImageCodec.Save(folder["a.png"], SyntheticImages.RealLike(1, 0, 16));

        byte[] png = PngText.Add(File.ReadAllBytes(folder["a.png"]), [new("Software", "a")]);

        byte[] expected = [0, 0, 0, 10, .. "tEXtSoftware\0a"u8, 0x2E, 0xE6, 0x17, 0x0E];
        Assert.Equal(expected, png[33..(33 + expected.Length)]);
    }

    [Theory]
    [InlineData("", "x")]
    [InlineData(" Comment", "x")]
    [InlineData("Comm\0ent", "x")]
    [InlineData("Comment", "Ω")]
    [InlineData("Comment", "a\0b")]
    public void What_a_chunk_cannot_hold_is_refused(string keyword, string text)
    {
        ImageCodec.Save(folder["a.png"], SyntheticImages.RealLike(1, 0, 16));

        Assert.Throws<ArgumentException>(() => PngText.Add(File.ReadAllBytes(folder["a.png"]), [new(keyword, text)]));
    }
}
