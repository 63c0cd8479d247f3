using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Xml.Linq;
using SkiaSharp;
using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

/// <summary>What becomes of metadata. Inputs are put together from the specifications (<see cref="TestImages"/>,
/// <see cref="TestExif"/>); outputs are read by the program, and where Skia reads them too (profile, orientation), by Skia.</summary>
public sealed class MetadataTests
{
    private static readonly ImageFormat[] Formats = [ImageFormat.Png, ImageFormat.Jpeg, ImageFormat.Webp];

    public static TheoryData<ImageFormat, ImageFormat> Pairs()
    {
        var data = new TheoryData<ImageFormat, ImageFormat>();
        foreach (ImageFormat from in Formats)
        {
            foreach (ImageFormat to in Formats)
            {
                data.Add(from, to);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Keep_carries_profile_exif_and_xmp_over(ImageFormat from, ImageFormat to)
    {
        foreach (bool bigEndian in new[] { false, true })
        {
            byte[] exif = TestExif.Make(bigEndian, orientation: 6, 24, 16);
            DecodedImage source = ImageCodec.Decode(
                TestImages.With(from, Image(24, 16), TestImages.ColourProfile, exif, TestImages.Xmp()), "in");
            // Orientation 6 turns the image: it is upright now, and the output must not turn it again.
            Assert.Equal((16, 24), (source.Image.Width, source.Image.Height));

            EncodedImage output = ImageCodec.Encode(source.Image, to, null, source.Source);
            Assert.Empty(output.Notes);
            DecodedImage back = ImageCodec.Decode(output.Bytes, "out");
            Assert.Equal((16, 24), (back.Image.Width, back.Image.Height));
            AssertSkiaAgrees(output.Bytes, 16, 24, TestImages.ColourProfile);
            Assert.Equal(TestImages.ColourProfile, back.Source.Metadata.ColourProfile);

            byte[] kept = back.Source.Metadata.Exif!;
            Dictionary<int, byte[]> tags = TestExif.Read(kept);
            Assert.Equal(1, TestExif.Number(kept, tags[0x0112]));
            Assert.Equal([16, 16, 24], new[] { 0x0100, 0xA002, 0xA003 }.Select(tag => TestExif.Number(kept, tags[tag])));
            // What maker notes refer to must not move.
            Assert.Equal(320, kept.AsSpan().IndexOf(Encoding.ASCII.GetBytes(TestExif.MakerNote)));
            foreach (string text in new[] { TestExif.Serial, TestExif.Comment, "WGS-84 position", "ACME Cameras" })
            {
                Assert.True(Holds(kept, text), text);
            }

            Assert.False(Holds(output.Bytes, TestExif.Thumbnail));
            Assert.Equal(600, kept.Length);

            string xmp = Encoding.UTF8.GetString(back.Source.Metadata.Xmp!);
            Assert.Contains("TITLE \u00E9", xmp, StringComparison.Ordinal);
            Assert.Contains("tiff:Orientation=\"1\"", xmp, StringComparison.Ordinal);
            Assert.Contains("exif:PixelXDimension=\"16\"", xmp, StringComparison.Ordinal);
            Assert.DoesNotContain("OLDPICTURE", xmp, StringComparison.Ordinal);
            Assert.DoesNotContain("HasExtendedXMP", xmp, StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Safe_carries_the_camera_over_and_nothing_of_persons_or_places(ImageFormat from, ImageFormat to)
    {
        foreach (bool bigEndian in new[] { false, true })
        {
            byte[] exif = TestExif.Make(bigEndian, orientation: 8, 24, 16);
            DecodedImage source = ImageCodec.Decode(
                TestImages.With(from, Image(24, 16), TestImages.ColourProfile, exif, TestImages.Xmp()), "in");
            EncodedImage output = ImageCodec.Encode(source.Image, to, new EncodeOptions { Metadata = MetadataPolicy.Safe }, source.Source);
            DecodedImage back = ImageCodec.Decode(output.Bytes, "out");
            AssertSkiaAgrees(output.Bytes, 16, 24, TestImages.ColourProfile);
            Assert.Null(back.Source.Metadata.Xmp);
            byte[] safe = back.Source.Metadata.Exif!;
            Dictionary<int, byte[]> tags = TestExif.Read(safe);
            Assert.Equal([0x010F, 0x0131, 0x8769, 0x9003, 0xA002, 0xA003], tags.Keys.Order());
            Assert.Equal("ACME Cameras\0", Encoding.ASCII.GetString(tags[0x010F]));
            Assert.Equal("2024:01:02 03:04:05\0", Encoding.ASCII.GetString(tags[0x9003]));
            Assert.Equal([16, 24], new[] { 0xA002, 0xA003 }.Select(tag => TestExif.Number(safe, tags[tag])));
            foreach (string text in new[]
                     {
                         TestExif.MakerNote, TestExif.Serial, TestExif.Thumbnail, TestExif.Comment, TestExif.Owner, "WGS-84", "TITLE",
                     })
            {
                Assert.False(Holds(output.Bytes, text), text);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void None_carries_the_profile_alone_over(ImageFormat from, ImageFormat to)
    {
        byte[] file = TestImages.With(from, Image(24, 16), TestImages.ColourProfile, TestExif.Make(true, 3, 24, 16), TestImages.Xmp());
        DecodedImage source = ImageCodec.Decode(file, "in");
        byte[] output = ImageCodec.Encode(source.Image, to, new EncodeOptions { Metadata = MetadataPolicy.None }, source.Source).Bytes;
        ImageMetadata back = ImageCodec.Decode(output, "out").Source.Metadata;
        Assert.Equal(TestImages.ColourProfile, back.ColourProfile);
        Assert.Null(back.Exif);
        Assert.Null(back.Xmp);
        AssertSkiaAgrees(output, 24, 16, TestImages.ColourProfile);
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Content_credentials_are_dropped_with_a_note(ImageFormat from, ImageFormat to)
    {
        foreach (MetadataPolicy policy in Enum.GetValues<MetadataPolicy>())
        {
            DecodedImage source = ImageCodec.Decode(TestImages.With(from, Image(8, 8), null, null, null, manifest: true), "in");
            Assert.True(source.Source.Metadata.HasContentCredentials);
            EncodedImage output = ImageCodec.Encode(source.Image, to, new EncodeOptions { Metadata = policy }, source.Source);
            Assert.Equal(ImageNoteKind.ContentCredentialsDropped, Assert.Single(output.Notes).Kind);
            Assert.False(Holds(output.Bytes, "c2pa"));
            Assert.False(ImageCodec.Decode(output.Bytes, "out").Source.Metadata.HasContentCredentials);
        }

        Assert.False(ImageCodec.Decode(TestImages.With(from, Image(8, 8), null, null, TestImages.Xmp()), "in").Source.Metadata
            .HasContentCredentials);
    }

    [Fact]
    public void A_link_to_content_credentials_is_dropped_with_a_note()
    {
        byte[] xmp = TestImages.Xmp("<t:provenance xmlns:t=\"http://purl.org/dc/terms/\">https://example.org/manifest</t:provenance>");
        DecodedImage source = ImageCodec.Decode(TestImages.With(ImageFormat.Png, Image(8, 8), null, null, xmp), "in");
        EncodedImage output = ImageCodec.Encode(source.Image, ImageFormat.Png, null, source.Source);
        Assert.Equal(ImageNoteKind.ContentCredentialsDropped, Assert.Single(output.Notes).Kind);
        Assert.False(Holds(output.Bytes, "provenance"));
        Assert.True(Holds(output.Bytes, "TITLE"));
    }

    [Fact]
    public void Metadata_that_need_no_change_stay_as_they_are()
    {
        byte[] xmp = Encoding.UTF8.GetBytes("<x:xmpmeta xmlns:x='adobe:ns:meta/'>\r\n<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>" +
                                            "<rdf:Description/></rdf:RDF></x:xmpmeta>  ");
        byte[] exif = [.. "II*\0"u8, 8, 0, 0, 0, 1, 0, 0x0F, 1, 2, 0, 3, 0, 0, 0, (byte)'A', (byte)'B', 0, 0, 0, 0, 0, 0];
        foreach (ImageFormat format in Formats)
        {
            DecodedImage source = ImageCodec.Decode(TestImages.With(format, Image(8, 8), null, exif, xmp), "in");
            ImageMetadata back =
                ImageCodec.Decode(ImageCodec.Encode(source.Image, format, null, source.Source).Bytes, "out").Source.Metadata;
            Assert.Equal(xmp, back.Xmp);
            Assert.Equal(exif, back.Exif);
        }
    }

    [Theory]
    [InlineData(ImageFormat.Png, ImageFormat.Png)]
    [InlineData(ImageFormat.Jpeg, ImageFormat.Jpeg)]
    [InlineData(ImageFormat.Webp, ImageFormat.Webp)]
    public void Damaged_metadata_cost_only_themselves(ImageFormat from, ImageFormat to)
    {
        // The offset of the EXIF directory leads out of the data; XMP and the profile are none.
        byte[] exif = TestExif.Make(true, 6, 24, 16);
        exif[^1] ^= 1;
        exif[8 + 2 + (3 * 12) + 9] = 0x7F;
        byte[] file = TestImages.With(from, Image(24, 16), [.. new byte[200]], exif, "<x:xmpmeta"u8.ToArray());
        DecodedImage source = ImageCodec.Decode(file, "in");
        Assert.Equal((16, 24), (source.Image.Width, source.Image.Height));
        EncodedImage output = ImageCodec.Encode(source.Image, to, null, source.Source);
        Assert.Equal([ImageNoteKind.ColourProfileDropped, ImageNoteKind.MetadataDropped, ImageNoteKind.MetadataDropped],
                     output.Notes.Select(note => note.Kind).Order());
        Assert.All(output.Notes, note => Assert.Contains("damaged", note.Text, StringComparison.Ordinal));
        ImageMetadata back = ImageCodec.Decode(output.Bytes, "out").Source.Metadata;
        Assert.Equal((null, null, null), (back.ColourProfile, back.Exif, back.Xmp));
    }

    [Theory]
    [InlineData("<t:provenance xmlns:t='http://purl.org/dc/terms/'>{0}</t:provenance>")]
    [InlineData("<x:xmpmeta xmlns:x='adobe:ns:meta/'><b:Thumbnails xmlns:b='http://ns.adobe.com/xap/1.0/'>{0}</b:Thumbnails></x:xmpmeta>")]
    [InlineData("<tiff:Orientation xmlns:tiff='http://ns.adobe.com/tiff/1.0/'>{0}</tiff:Orientation>")]
    public void Xmp_inside_of_what_is_not_kept_is_damaged(string around)
    {
        string packet = string.Format(CultureInfo.InvariantCulture, around, "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>");
        foreach (ImageFormat format in Formats)
        {
            byte[] file = TestImages.With(format, Image(8, 8), null, null, Encoding.UTF8.GetBytes(packet));
            DecodedImage source = ImageCodec.Decode(file, "in");
            EncodedImage output = ImageCodec.Encode(source.Image, format, null, source.Source, new ImageStamp("stig 1"));
            Assert.Equal(["The XMP metadata are damaged and are not carried over."],
                         output.Notes.Where(note => note.Kind == ImageNoteKind.MetadataDropped).Select(note => note.Text));
            // What the output says of itself does not depend on it.
            Assert.Equal(format == ImageFormat.Webp, Holds(output.Bytes, "softwareAgent"));
        }
    }

    [Fact]
    public void A_property_of_xmp_that_holds_others_becomes_a_number()
    {
        // Each by itself has the right value, until the other one has.
        byte[] xmp = TestImages.Xmp("<tiff:Orientation>1<tiff:ImageWidth></tiff:ImageWidth></tiff:Orientation>");
        string kept = Encoding.UTF8.GetString(XmpPacket.Keep(xmp, 24, 16)!);
        Assert.Contains("<tiff:Orientation>1</tiff:Orientation>", kept, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_link_to_a_preview_in_exif_is_cut(bool bigEndian)
    {
        // Of the main directory's entries, the third and the fifth.
        byte[] exif = TestExif.Make(bigEndian, 1, 24, 16);
        foreach (int entry in new[] { 2, 4 })
        {
            (exif[10 + (12 * entry)], exif[11 + (12 * entry)]) = bigEndian ? ((byte)1, (byte)0x4A) : ((byte)0x4A, (byte)1);
        }

        Assert.Equal([0x0100, 0x010F, 0x0112, 0x8769], TestExif.Read(ExifData.Keep(exif, 24, 16)!).Keys.Where(tag => tag < 0x9000).Order());
    }

    [Fact]
    public void Exif_whose_thumbnail_lies_over_its_header_is_damaged()
    {
        byte[] exif = TestExif.Make(true, 1, 24, 16);
        (exif[512], exif[513], exif[525]) = (0, 1, 7);
        Assert.Equal((1, 7), (BinaryPrimitives.ReadInt32BigEndian(exif.AsSpan(510)), BinaryPrimitives.ReadInt32BigEndian(exif.AsSpan(522))));
        Assert.Null(ExifData.Keep(exif, 24, 16));
    }

    [Fact]
    public void What_jpeg_cannot_hold_is_dropped_with_a_note()
    {
        byte[] exif = [.. TestExif.Make(false, 1, 8, 8)[..600], .. new byte[70000]];
        byte[] profile = [.. TestImages.ColourProfile, .. new byte[200_000]];
        DecodedImage source = ImageCodec.Decode(
            TestImages.With(ImageFormat.Png, Image(8, 8), profile, exif, TestImages.Xmp(new string(' ', 70000))), "in");
        EncodedImage output = ImageCodec.Encode(source.Image, ImageFormat.Jpeg, null, source.Source);
        Assert.Equal([ImageNoteKind.MetadataDropped, ImageNoteKind.MetadataDropped], output.Notes.Select(note => note.Kind));
        // A profile goes into as many pieces as it needs.
        Assert.Equal(profile, ImageCodec.Decode(output.Bytes, "out").Source.Metadata.ColourProfile);
        Assert.Empty(ImageCodec.Encode(source.Image, ImageFormat.Png, null, source.Source).Notes);
    }

    [Fact]
    public void Metadata_that_unfold_beyond_measure_are_dropped()
    {
        // 64 MiB of zeros in 64 KiB.
        byte[] bomb = TestImages.Deflated(new byte[64 << 20]);
        byte[] file = TestPng.Encode(4, 4, 8, 2, (_, _) => [1, 2, 3], false, ("iCCP", [.. "name\0\0"u8, .. bomb]),
                                     ("iTXt", [.. "XML:com.adobe.xmp\0"u8, 1, 0, 0, 0, .. bomb]));
        long before = GC.GetAllocatedBytesForCurrentThread();
        DecodedImage source = ImageCodec.Decode(file, "in");
        EncodedImage output = ImageCodec.Encode(source.Image, ImageFormat.Png, null, source.Source);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 20);
        Assert.Equal(["The XMP metadata are too large and are not carried over.",
                      "The colour profile has more than 8388608 bytes; it is not carried over."], output.Notes.Select(note => note.Text));
    }

    [Theory]
    [InlineData(ImageFormat.Png)]
    [InlineData(ImageFormat.Jpeg)]
    [InlineData(ImageFormat.Webp)]
    public void Metadata_beyond_measure_are_not_even_copied(ImageFormat format)
    {
        byte[] Long(int most) => [.. Enumerable.Repeat((byte)'x', most + 1)];
        byte[] plain = ImageCodec.Encode(Image(8, 8), format).Bytes, profile = Long(MetadataReader.MaxLength), xmp = Long(XmpPacket.MaxLength);
        byte[] file = format switch
        {
            // Neither is compressed, but for the profile, which was to be.
            ImageFormat.Png => TestPng.Encode(8, 8, 8, 2, (_, _) => [1, 2, 3], false, ("iCCP", [.. "name\0\0"u8, .. profile]), ("eXIf", profile),
                                              ("iTXt", [.. "XML:com.adobe.xmp\0\0\0\0\0"u8, .. xmp])),
            // A segment cannot hold as much, the pieces of a profile together can.
            ImageFormat.Jpeg => [.. plain[..2], .. Enumerable.Range(1, 129).SelectMany(
                piece => (byte[])[0xFF, 0xE2, 0xFF, 0xFF, .. "ICC_PROFILE\0"u8, (byte)piece, 129, .. new byte[65519]]), .. plain[2..]],
            _ => TestImages.Webp(plain, Image(8, 8), profile, profile, xmp, manifest: false),
        };
        long before = GC.GetAllocatedBytesForCurrentThread();
        ImageMetadata metadata = MetadataReader.Read(file, format);
        // The pieces are looked at one by one.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, format == ImageFormat.Jpeg ? 9 << 20 : 1 << 16);
        Assert.Equal(0, metadata.Bytes);
        IReadOnlyList<ImageNote> notes = ImageCodec.Encode(Image(8, 8), ImageFormat.Png, null,
            new ImageSource(new ImageHeader(format, 8, 8, SampleKind.Colour, 8), metadata)).Notes;
        string[] expected = ["The EXIF metadata are too large and are not carried over.", "The XMP metadata are too large and are not carried over.",
                             "The colour profile has more than 8388608 bytes; it is not carried over."];
        Assert.Equal(format == ImageFormat.Jpeg ? expected[2..] : expected, notes.Select(note => note.Text));
    }

    [Fact]
    public void Metadata_know_their_length()
    {
        byte[] exif = TestExif.Make(true, 1, 24, 16), xmp = TestImages.Xmp();
        foreach (ImageFormat format in Formats)
        {
            byte[] file = TestImages.With(format, Image(8, 8), TestImages.ColourProfile, exif, xmp);
            Assert.Equal(TestImages.ColourProfile.Length + exif.Length + xmp.Length, MetadataReader.Read(file, format).Bytes);
        }

        Assert.Equal(4, new ImageMetadata { PngColour = [("gAMA", new byte[4])] }.Bytes);
    }

    [Fact]
    public void Compressed_metadata_that_cannot_be_unfolded_are_dropped()
    {
        // Damaged data, and data that ask for a dictionary, which zlib reports in another way.
        foreach (byte[] data in new byte[][] { [0x78, 0x9C, 0xFF, 0xFF, 0xFF, 0xFF], [0x78, 0xBB, 0, 0, 0, 1, 0x63, 0, 0, 0, 1, 0, 1], [], [0x78] })
        {
            byte[] file = TestPng.Encode(4, 4, 8, 2, (_, _) => [1, 2, 3], false, ("iCCP", [.. "name\0\0"u8, .. data]));
            DecodedImage source = ImageCodec.Decode(file, "in");
            ImageNote note = Assert.Single(ImageCodec.Encode(source.Image, ImageFormat.Png, null, source.Source).Notes);
            Assert.Equal(ImageNoteKind.ColourProfileDropped, note.Kind);
        }
    }

    [Theory]
    [InlineData("deep")]
    [InlineData("wide")]
    [InlineData("prefixes")]
    [InlineData("entities")]
    public void Xmp_made_to_cost_time_is_dropped(string kind)
    {
        // Writing them back alone would take up to minutes.
        string more = kind switch
        {
            "deep" => string.Concat(Enumerable.Repeat("<a>", 100_000)) + string.Concat(Enumerable.Repeat("</a>", 100_000)),
            // As many as may be on each element, and all of them to look through in turn.
            "prefixes" => string.Concat(Enumerable.Range(0, 15_000).Select(i => $"{(i % 250 == 0 ? "><a" : "")} xmlns:p{i}=\"{i}\""))[1..] + ">"
                + string.Concat(Enumerable.Repeat("<p0:x/><p1:x/>", 100_000)) + string.Concat(Enumerable.Repeat("</a>", 60)),
            _ => $"<a {string.Concat(Enumerable.Range(0, 50_000).Select(i => $"xmlns:p{i}=\"{i}\" "))}/>",
        };
        byte[] xmp = kind == "entities"
            ? [.. "<!DOCTYPE a [<!ENTITY b \"bbbbbbbbbb\"><!ENTITY c \"&b;&b;&b;&b;\">]>"u8, .. TestImages.Xmp("&c;")]
            : TestImages.Xmp(more);
        DecodedImage source = ImageCodec.Decode(TestImages.With(ImageFormat.Png, Image(8, 8), null, null, xmp), "in");
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        EncodedImage output = ImageCodec.Encode(source.Image, ImageFormat.Webp, null, source.Source, new ImageStamp("stig 1"));
        Assert.InRange(System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 30);
        Assert.Equal(ImageNoteKind.MetadataDropped, Assert.Single(output.Notes).Kind);
        Assert.True(Holds(output.Bytes, "softwareAgent"));
    }

    [Fact]
    public void Png_colour_chunks_go_to_png_alone()
    {
        byte[] gamma = [0, 1, 0x86, 0xA0], chromaticities = new byte[32];
        byte[] file = TestPng.Encode(4, 4, 8, 2, (_, _) => [1, 2, 3], false, ("gAMA", gamma), ("cHRM", chromaticities), ("gAMA", [9, 9]));
        DecodedImage source = ImageCodec.Decode(file, "in");
        byte[] png = ImageCodec.Encode(source.Image, ImageFormat.Png, new EncodeOptions { Metadata = MetadataPolicy.None }, source.Source).Bytes;
        IReadOnlyList<(string Type, byte[] Content)> kept = ImageCodec.Decode(png, "out").Source.Metadata.PngColour;
        Assert.Equal(["gAMA", "cHRM"], kept.Select(chunk => chunk.Type));
        Assert.Equal(gamma, kept[0].Content);
        ImageNote note = Assert.Single(ImageCodec.Encode(source.Image, ImageFormat.Webp, null, source.Source).Notes);
        Assert.Equal(ImageNoteKind.ColourProfileDropped, note.Kind);
        Assert.Contains("gAMA, cHRM", note.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Outputs_say_how_they_were_made()
    {
        var stamp = new ImageStamp("stig 1.2.3", "abc123", "filter resampled from 256x256 to 384x384");
        RgbImage image = Image(8, 8);
        Assert.Equal(
            [new("Software", stamp.Software!), new("Model", stamp.Model!), new("Comment", stamp.Comment!)],
            PngText.Read(ImageCodec.Encode(image, ImageFormat.Png, null, null, stamp).Bytes));

        byte[] jpeg = ImageCodec.Encode(image, ImageFormat.Jpeg, null, null, stamp).Bytes;
        int at = jpeg.AsSpan().IndexOf<byte>([0xFF, 0xFE]);
        Assert.Equal("Software: stig 1.2.3; Model: abc123; Comment: filter resampled from 256x256 to 384x384",
                     Encoding.Latin1.GetString(jpeg, at + 4, (jpeg[at + 2] << 8) + jpeg[at + 3] - 2));
        Assert.Equal(image.Width, ImageCodec.Decode(jpeg, "a.jpg").Image.Width);

        foreach (byte[]? xmp in new[] { null, TestImages.Xmp() })
        {
            var source = new ImageSource(new ImageHeader(ImageFormat.Webp, 8, 8, SampleKind.Colour, 8), new ImageMetadata { Xmp = xmp });
            EncodedImage webp = ImageCodec.Encode(image, ImageFormat.Webp, null, source, stamp);
            // A second refinement is a second event.
            DecodedImage once = ImageCodec.Decode(webp.Bytes, "a.webp");
            DecodedImage twice = ImageCodec.Decode(ImageCodec.Encode(image, ImageFormat.Webp, null, once.Source, stamp).Bytes, "b.webp");
            Assert.Equal(1, Events(once));
            Assert.Equal(2, Events(twice));
            Assert.Equal(xmp is not null, Holds(twice.Source.Metadata.Xmp!, "TITLE"));
            Assert.Equal(image.Pixels, twice.Image.Pixels);
        }

        foreach (ImageFormat format in Formats)
        {
            Assert.False(Holds(ImageCodec.Encode(image, format).Bytes, "stig"));
            Assert.Throws<ArgumentException>(() => ImageCodec.Encode(image, format, null, null, new ImageStamp("st\0ig")));
        }

        static int Events(DecodedImage image)
        {
            XNamespace stEvt = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#";
            XDocument document = XDocument.Parse(Encoding.UTF8.GetString(image.Source.Metadata.Xmp!));
            XElement[] agents = [.. document.Descendants(stEvt + "softwareAgent")];
            Assert.All(agents, agent => Assert.Equal("stig 1.2.3", agent.Value));
            Assert.All(document.Descendants(stEvt + "parameters"),
                       text => Assert.Equal("model abc123; filter resampled from 256x256 to 384x384", text.Value));
            Assert.Equal(agents.Length, document.Descendants(stEvt + "action").Count(action => action.Value == "filtered"));
            return agents.Length;
        }
    }

    [Theory]
    [InlineData(ImageFormat.Png)]
    [InlineData(ImageFormat.Webp)]
    public void Opacity_goes_along_with_metadata(ImageFormat format)
    {
        RgbImage colours = Image(20, 10);
        var image = new RgbImage(20, 10, colours.Pixels, [.. Enumerable.Range(0, 200).Select(i => (byte)(i + 1))]);
        foreach (bool lossless in new[] { true, false })
        {
            var source = new ImageSource(new ImageHeader(format, 20, 10, SampleKind.Colour, 8), new ImageMetadata { Xmp = TestImages.Xmp() });
            var options = new EncodeOptions { WebpLossless = lossless };
            RgbImage back = ImageCodec.Decode(ImageCodec.Encode(image, format, options, source).Bytes, "out").Image;
            Assert.Equal(image.Alpha, back.Alpha);
        }
    }

    [Fact]
    public void Lost_opacity_is_noted()
    {
        RgbImage image = Image(2, 2);
        Assert.Equal(ImageNoteKind.OpacityDropped, Assert.Single(ImageCodec.Encode(
            new RgbImage(2, 2, image.Pixels, [255, 255, 254, 255]), ImageFormat.Jpeg).Notes).Kind);
        Assert.Empty(ImageCodec.Encode(new RgbImage(2, 2, image.Pixels, [255, 255, 255, 255]), ImageFormat.Jpeg).Notes);
    }

    private static RgbImage Image(int width, int height) => new(
        width, height, [.. Enumerable.Range(0, 3 * width * height).Select(i => (byte)(60 + (i % 90)))]);

    private static bool Holds(byte[] data, string text) => data.AsSpan().IndexOf(Encoding.ASCII.GetBytes(text)) >= 0;

    // Skia turns by the orientation that it finds, and makes a colour space of the profile.
    private static void AssertSkiaAgrees(byte[] file, int width, int height, byte[] profile)
    {
        using SKData data = SKData.CreateCopy(file);
        using SKCodec codec = SKCodec.Create(data);
        Assert.Equal(SKEncodedOrigin.TopLeft, codec.EncodedOrigin);
        Assert.Equal((width, height), (codec.Info.Width, codec.Info.Height));
        using SKColorSpace expected = SKColorSpace.CreateIcc(profile);
        Assert.True(SKColorSpace.Equal(expected, codec.Info.ColorSpace), "Skia finds another colour space");
    }
}
