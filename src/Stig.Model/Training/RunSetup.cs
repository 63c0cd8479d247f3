using System.Security.Cryptography;
using System.Text;
using Stig.Model.Checkpoints;
using Stig.Model.Data;
using Stig.Model.Imaging;

namespace Stig.Model.Training;

/// <summary>
/// What decides a run's results beside its <see cref="TrainingOptions"/>; stored in its checkpoints, so that a resumed run goes on as it was.
/// </summary>
/// <param name="Crop">How larger images are brought to the training size.</param>
/// <param name="Validation">Images of each folder held out.</param>
/// <param name="Interval">Steps between validations and checkpoints.</param>
/// <param name="RealImages">Files in the folder of real images.</param>
/// <param name="FakeImages">Files in the folder of fake images.</param>
/// <param name="ImageNames">SHA-256 of the files' names, in hexadecimal digits.</param>
/// <param name="ComputedOn">Device, instruction set, library and number of threads, on which the last bits of results depend.</param>
public sealed record RunSetup(
    CropMode Crop, int Validation, long Interval, int RealImages, int FakeImages, string ImageNames, string ComputedOn)
{
    /// <summary>The hash of the files' names, which decide with the seed what each step sees.</summary>
    internal static string HashNames(IReadOnlyList<ImageFile> real, IReadOnlyList<ImageFile> fake)
    {
        // No name holds a null character, so that two lists never give one text.
        string names = string.Join('\0', real.Select(file => file.RelativeName).Append("").Concat(fake.Select(file => file.RelativeName)));
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(names)));
    }

    /// <summary>Refuses to go on from a checkpoint with what is certainly meant otherwise, and warns of what changes the last bits.</summary>
    /// <exception cref="CheckpointException">The images are cropped or held out otherwise.</exception>
    internal void CheckResumed(RunSetup earlier, string checkpoint, Action<string>? warn)
    {
        if ((earlier.Crop, earlier.Validation) != (Crop, Validation))
        {
            throw new CheckpointException($"{checkpoint} was trained with --crop {Text(earlier.Crop)} --validate {earlier.Validation}, not "
                + $"--crop {Text(Crop)} --validate {Validation}. Leave both out to go on as before, or start a new run.");
        }

        if (earlier.ImageNames != ImageNames)
        {
            warn?.Invoke($"the images are not those that {checkpoint} was trained on (then {earlier.RealImages} real and "
                + $"{earlier.FakeImages} fake, now {RealImages} and {FakeImages}); the run goes on with other pairs, and other images are held out");
        }

        if (earlier.ComputedOn != ComputedOn)
        {
            warn?.Invoke($"{checkpoint} was computed on {earlier.ComputedOn}, this run computes on {ComputedOn}; the results will differ in "
                + "the last bits from those of a run that was never stopped");
        }
    }

    private static string Text(CropMode crop) => crop.ToString().ToLowerInvariant();
}
